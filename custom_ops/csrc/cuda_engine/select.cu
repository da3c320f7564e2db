// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The strongest maxima of an image in their order, refined: a cut through the histogram of their scores leaves little
// more than are wanted, and the place of each of these is the number of stronger ones. The order of all maxima is total
// (key_of), so that the result is the same whatever the threads do first.
#include "kernels.h"
#include "window.cuh"

namespace aliked_cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kCompactingBlocks = 32;           // of an image
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
constexpr int kLanes = 8;                       // that look for the place of a key together
constexpr int kKeys = kThreads / kLanes;        // of a block
constexpr int kStaged = 1024;                   // keys in shared memory at a time

struct CutShared {
  int histogram[kDigits];
  int scan[kWarps];
  int bin, above, count;
};

// Finds the bin in which, counting from the last one down, the `wanted`-th element lies, and how many lie above it.
// Each thread has kEach neighbouring bins.
template <int kEach>
__device__ void find_bin(CutShared& shared, const int* histogram, int wanted) {
  const int top = (kThreads - static_cast<int>(threadIdx.x)) * kEach - 1;
  int own[kEach], total = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) total += own[i] = histogram[top - i];
  int before = total;  // inclusive, in the warp
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_sync(~0u, before, max(lane_id() - step, 0));
    if (lane_id() >= step) before += other;
  }
  if (lane_id() == 31) shared.scan[warp_id()] = before;
  __syncthreads();
  for (int warp = 0; warp < warp_id(); ++warp) before += shared.scan[warp];
  before -= total;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    if (before < wanted && wanted <= before + own[i]) {
      shared.bin = top - i;
      shared.above = before;
      shared.count = own[i];
    }
    before += own[i];
  }
  __syncthreads();
}

// Which keys are taken: those of higher bins, and of this one those with higher leading digits.
struct Cut {
  int bin, shift;
  uint64_t prefix;
  __device__ bool takes(uint64_t key) const {
    const int own = bin_of(key);
    return own > bin || (own == bin && (shift == 64 || (key >> shift) >= prefix));
  }
};

// Looks at the digits of the keys of a cut's bin until it takes at most `most`, at least `wanted`. One block does so.
__device__ void narrow(CutShared& shared, Cut& cut, const uint64_t* keys, int count, int wanted, int most) {
  int above = shared.above, taken = shared.above + shared.count;
  while (taken > most) {
    __syncthreads();
    for (int i = threadIdx.x; i < kDigits; i += kThreads) shared.histogram[i] = 0;
    __syncthreads();
    const int shift = cut.shift - kDigitBits;
    for (int i = threadIdx.x; i < count; i += kThreads) {
      const uint64_t key = keys[i];
      if (bin_of(key) != cut.bin || (cut.shift < 64 && key >> cut.shift != cut.prefix)) continue;
      atomicAdd(&shared.histogram[key >> shift & (kDigits - 1)], 1);
    }
    __syncthreads();
    find_bin<kDigits / kThreads>(shared, shared.histogram, wanted - above);
    cut.prefix = cut.prefix << kDigitBits | static_cast<uint64_t>(shared.bin);
    cut.shift = shift;
    above += shared.above;
    taken = above + shared.count;
  }
}

__device__ __forceinline__ int wanted_of(const Sizes& sizes, const DetectionMaps& maps, int batch) {
  return max(min(min(maps.parameters[batch].max_keypoints, sizes.capacity), maps.num_candidates[batch]), 0);
}

// Leaves the candidates that a cut takes.
__global__ void __launch_bounds__(kThreads) compact_kernel(Sizes sizes, DetectionMaps maps) {
  CutShared& shared = *reinterpret_cast<CutShared*>(dynamic_shared());
  const int batch = blockIdx.y, most = selection_capacity(sizes);
  const uint64_t* candidates = maps.candidates + batch * static_cast<int64_t>(sizes.height) * sizes.width;
  const int count = maps.num_candidates[batch], wanted = wanted_of(sizes, maps, batch);
  if (wanted == 0) return;
  Cut cut = {-1, 64, 0};  // takes everything
  int first = static_cast<int>(blockIdx.x) * kThreads, step = kCompactingBlocks * kThreads;
  if (count > most) {
    find_bin<kBins / kThreads>(shared, maps.histogram + batch * kBins, wanted);
    cut.bin = shared.bin;
    if (shared.above + shared.count > most) {
      if (blockIdx.x > 0) return;
      first = 0;
      step = kThreads;
      narrow(shared, cut, candidates, count, wanted, most);
    }
  }
  uint64_t* selected = maps.selected + static_cast<int64_t>(batch) * most;
  for (int i = first + static_cast<int>(threadIdx.x); i < count; i += step) {
    const uint64_t key = candidates[i];
    if (cut.takes(key)) selected[atomicAdd(maps.num_selected + batch, 1)] = key;
  }
}

// How many of the keys are larger than a thread's own one; all threads of the block take part, kLanes have one key.
__device__ int count_larger(uint64_t own, const uint64_t* keys, int count, uint64_t* staged) {
  int larger = 0;
  for (int first = 0; first < count; first += kStaged) {
    const int there = min(count - first, kStaged);
    __syncthreads();
    for (int i = threadIdx.x; i < there; i += kThreads) staged[i] = keys[first + i];
    __syncthreads();
#pragma unroll 8
    for (int i = threadIdx.x % kLanes; i < there; i += kLanes) larger += staged[i] > own;
  }
  for (int step = 1; step < kLanes; step *= 2) larger += __shfl_xor_sync(~0u, larger, step);
  return larger;
}

// Refines the strongest ones.
__global__ void __launch_bounds__(kThreads) refine_kernel(Sizes sizes, DetectionMaps maps) {
  uint64_t* staged = reinterpret_cast<uint64_t*>(dynamic_shared());
  const int batch = blockIdx.y, first = blockIdx.x * kKeys;
  const int count = maps.num_selected[batch], wanted = wanted_of(sizes, maps, batch);
  if (first >= count) return;
  const uint64_t* selected = maps.selected + static_cast<int64_t>(batch) * selection_capacity(sizes);
  const int own = first + static_cast<int>(threadIdx.x) / kLanes;
  const uint64_t key = selected[min(own, count - 1)];
  const int place = count_larger(key, selected, count, staged);
  if (own >= count || place >= wanted || threadIdx.x % kLanes != 0) return;
  const float* scores = maps.scores + batch * static_cast<int64_t>(sizes.height) * sizes.width;
  const int pixel = pixel_of(key), x = pixel % sizes.width, y = pixel / sizes.width;
  Keypoint keypoint = refine(scores + pixel, sizes.width, x, y);
  keypoint.score = score_at(scores, sizes.width, keypoint.x, keypoint.y);
  const int64_t at = static_cast<int64_t>(batch) * sizes.capacity + place;
  maps.unsorted[at] = keypoint;
  maps.refined[at] = key_of(keypoint.score, static_cast<uint32_t>(place));  // equals keep their order
}

// Puts the refined ones in the order of the scores that they have now.
__global__ void __launch_bounds__(kThreads) order_kernel(Sizes sizes, DetectionMaps maps) {
  uint64_t* staged = reinterpret_cast<uint64_t*>(dynamic_shared());
  const int batch = blockIdx.y, first = blockIdx.x * kKeys;
  const int wanted = wanted_of(sizes, maps, batch);
  if (blockIdx.x == 0 && threadIdx.x == 0) maps.counts[batch] = wanted;
  if (first >= wanted) return;
  const int64_t begin = static_cast<int64_t>(batch) * sizes.capacity;
  const int own = first + static_cast<int>(threadIdx.x) / kLanes;
  const uint64_t key = maps.refined[begin + min(own, wanted - 1)];
  const int place = count_larger(key, maps.refined + begin, wanted, staged);
  if (own < wanted && threadIdx.x % kLanes == 0) maps.keypoints[begin + place] = maps.unsorted[begin + own];
}

}  // namespace

cudaError_t select_keypoints(const Launcher& launcher, const Sizes& sizes, const DetectionMaps& maps) {
  const unsigned batch = sizes.batch, selected = selection_capacity(sizes), capacity = sizes.capacity;
  cudaError_t error = launcher("compact", compact_kernel, dim3(kCompactingBlocks, batch), kThreads, sizeof(CutShared),
                               sizes, maps);
  if (error != cudaSuccess) return error;
  constexpr size_t kStagedBytes = kStaged * sizeof(uint64_t);
  error = launcher("refine", refine_kernel, dim3((selected + kKeys - 1) / kKeys, batch), kThreads, kStagedBytes, sizes,
                   maps);
  if (error != cudaSuccess) return error;
  return launcher("order", order_kernel, dim3((capacity + kKeys - 1) / kKeys, batch), kThreads, kStagedBytes, sizes,
                  maps);
}

}  // namespace aliked_cuda
