// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Non-maximum suppression exactly as the readable network does it, in three rounds, within tiles whose border is as
// wide as three rounds reach; then the maxima that may become keypoints, in any order.
#include "kernels.h"
#include "window.cuh"

namespace aliked_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSide = 64, kBorder = 5 * kRadius, kTile = kSide - 2 * kBorder;
constexpr int kRun = 16;           // pixels of a thread: below each other, then beside each other
constexpr int kStride = kSide + 1;  // so that rows begin in different banks
constexpr int kMostFound = kTile * kTile;
static_assert(kSide * kSide == kThreads * kRun, "each thread has one run");

struct Shared {
  float scores[kSide * kStride];  // -1 outside of the image, 0 where suppressed
  float column_maxima[kSide * kStride];
  union {
    uint64_t rows[kSide];  // a bit for each maximum
    uint16_t runs[kSide][kSide / kRun];
  } maxima;
  int num_found;
  uint16_t found[kMostFound];  // row and column of maxima that have to be looked at
};

__device__ __forceinline__ uint64_t widen(uint64_t bits) {
  static_assert(kRadius == 2, "two steps on either side");
  return bits | bits << 1 | bits << 2 | bits >> 1 | bits >> 2;
}

// Of the numbers of a run and of kRadius before and behind it the maximum of each window.
__device__ __forceinline__ void window_maxima(const float (&values)[kRun + 2 * kRadius], float (&maxima)[kRun]) {
  static_assert(kRadius == 2, "windows of five");
  float pairs[kRun + 3];
#pragma unroll
  for (int i = 0; i < kRun + 3; ++i) pairs[i] = fmaxf(values[i], values[i + 1]);
#pragma unroll
  for (int i = 0; i < kRun; ++i) maxima[i] = fmaxf(fmaxf(pairs[i], pairs[i + 2]), values[i + 4]);
}

// One round: what is the maximum of its window among what remains joins the maxima. `remaining` has a bit for each pixel
// of this thread's run in its row.
__device__ void find_round(Shared& shared, uint32_t remaining) {
  float values[kRun + 2 * kRadius], maxima[kRun];
  {
    const int column = static_cast<int>(threadIdx.x) % kSide, first = static_cast<int>(threadIdx.x) / kSide * kRun;
#pragma unroll
    for (int i = 0; i < kRun + 2 * kRadius; ++i) {
      const int row = first + i - kRadius;
      values[i] = row >= 0 && row < kSide ? shared.scores[row * kStride + column] : -1.0f;
    }
    window_maxima(values, maxima);
#pragma unroll
    for (int i = 0; i < kRun; ++i) shared.column_maxima[(first + i) * kStride + column] = maxima[i];
  }
  __syncthreads();
  const int row = static_cast<int>(threadIdx.x) % kSide, run = static_cast<int>(threadIdx.x) / kSide;
#pragma unroll
  for (int i = 0; i < kRun + 2 * kRadius; ++i) {
    const int column = run * kRun + i - kRadius;
    values[i] = column >= 0 && column < kSide ? shared.column_maxima[row * kStride + column] : -1.0f;
  }
  window_maxima(values, maxima);
  uint32_t found = 0;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    found |= static_cast<uint32_t>(shared.scores[row * kStride + run * kRun + i] == maxima[i]) << i;
  }
  shared.maxima.runs[row][run] |= static_cast<uint16_t>(found & remaining);
  __syncthreads();
}

// The windows of all maxima are suppressed. Returns what remains of the thread's run.
__device__ uint32_t suppress(Shared& shared, uint32_t remaining) {
  const int row = static_cast<int>(threadIdx.x) % kSide, run = static_cast<int>(threadIdx.x) / kSide;
  uint64_t bits = 0;
#pragma unroll
  for (int y = -kRadius; y <= kRadius; ++y) {
    if (row + y >= 0 && row + y < kSide) bits |= shared.maxima.rows[row + y];
  }
  const uint32_t suppressed = static_cast<uint32_t>(widen(bits) >> (run * kRun)) & remaining;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (suppressed >> i & 1) shared.scores[row * kStride + run * kRun + i] = 0.0f;
  }
  __syncthreads();
  return remaining & ~suppressed;
}

// Whether the image varies in any channel around a pixel away from the border.
__device__ bool is_textured(const Sizes& sizes, const uint8_t* image, int x, int y) {
  for (int c = 0; c < sizes.channels; ++c) {
    const uint8_t* center = image + (static_cast<int64_t>(y) * sizes.width + x) * sizes.channels + c;
    for (int dy = -kRadius; dy <= kRadius; ++dy) {
      for (int dx = -kRadius; dx <= kRadius; ++dx) {
        if (center[(static_cast<int64_t>(dy) * sizes.width + dx) * sizes.channels] != *center) return true;
      }
    }
  }
  return false;
}

// Whether a maximum may become a keypoint.
__device__ bool is_wanted(const Sizes& sizes, const DetectionMaps& maps, int batch, const float* score, int x, int y) {
  const FrameParameters& parameters = maps.parameters[batch];
  const int64_t pixels = static_cast<int64_t>(sizes.height) * sizes.width;
  if (!(*score > parameters.threshold)) return false;
  float lowest = *score;
#pragma unroll
  for (int dy = -kRadius; dy <= kRadius; ++dy) {
#pragma unroll
    for (int dx = -kRadius; dx <= kRadius; ++dx) lowest = fminf(lowest, score[dy * sizes.width + dx]);
  }
  if (!(*score > lowest)) return false;  // a plateau
  if (!is_textured(sizes, maps.image + batch * pixels * sizes.channels, x, y)) return false;
  if (!parameters.has_mask) return true;
  const Keypoint refined = refine(score, sizes.width, x, y);
  return maps.mask[batch * pixels + static_cast<int64_t>(refined.y + 0.5f) * sizes.width +
                   static_cast<int>(refined.x + 0.5f)] != 0;
}

__global__ void __launch_bounds__(kThreads) maxima_kernel(Sizes sizes, DetectionMaps maps) {
  Shared& shared = *reinterpret_cast<Shared*>(dynamic_shared());
  const int batch = blockIdx.z, y0 = blockIdx.y * kTile - kBorder, x0 = blockIdx.x * kTile - kBorder;
  const int64_t pixels = static_cast<int64_t>(sizes.height) * sizes.width;
  const float* scores = maps.scores + batch * pixels;
#pragma unroll 4
  for (int i = threadIdx.x; i < kSide * kSide; i += kThreads) {
    const int y = y0 + i / kSide, x = x0 + i % kSide;
    const bool inside = y >= 0 && y < sizes.height && x >= 0 && x < sizes.width;
    shared.scores[i / kSide * kStride + i % kSide] = inside ? scores[static_cast<int64_t>(y) * sizes.width + x] : -1.0f;
  }
  const int row = static_cast<int>(threadIdx.x) % kSide, run = static_cast<int>(threadIdx.x) / kSide;
  shared.maxima.runs[row][run] = 0;
  if (threadIdx.x == 0) shared.num_found = 0;
  const int left = max(-(x0 + run * kRun), 0), right = min(sizes.width - (x0 + run * kRun), kRun);  // of the run
  uint32_t remaining = 0;
  if (y0 + row >= 0 && y0 + row < sizes.height && left < right) remaining = (1u << right) - (1u << left);
  __syncthreads();
  find_round(shared, remaining);
  for (int round = 1; round < 3; ++round) {
    remaining = suppress(shared, remaining);
    find_round(shared, remaining);
  }

  // Of the tile without its border, and away from the image's border.
  const int y = y0 + row;
  if (row >= kBorder && row < kBorder + kTile && y >= kRadius && y < sizes.height - kRadius) {
    for (uint32_t bits = shared.maxima.runs[row][run]; bits != 0; bits &= bits - 1) {
      const int column = run * kRun + __ffs(static_cast<int>(bits)) - 1, x = x0 + column;
      if (column < kBorder || column >= kBorder + kTile || x < kRadius || x >= sizes.width - kRadius) continue;
      shared.found[atomicAdd(&shared.num_found, 1)] = static_cast<uint16_t>(row * kSide + column);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < shared.num_found; i += kThreads) {
    const int at_y = y0 + shared.found[i] / kSide, at_x = x0 + shared.found[i] % kSide;
    const int pixel = at_y * sizes.width + at_x;
    if (!is_wanted(sizes, maps, batch, scores + pixel, at_x, at_y)) continue;
    const uint64_t key = key_of(scores[pixel], static_cast<uint32_t>(pixel));
    maps.candidates[batch * pixels + atomicAdd(maps.num_candidates + batch, 1)] = key;
    atomicAdd(maps.histogram + batch * kBins + bin_of(key), 1);
  }
}

}  // namespace

cudaError_t find_maxima(const Launcher& launcher, const Sizes& sizes, const DetectionMaps& maps) {
  const dim3 grid((sizes.width + kTile - 1) / kTile, (sizes.height + kTile - 1) / kTile, sizes.batch);
  return launcher("find_maxima", maxima_kernel, grid, kThreads, sizeof(Shared), sizes, maps);
}

}  // namespace aliked_cuda
