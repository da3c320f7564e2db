// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The sparse deformable descriptor head (SDDH) at 16 keypoints. Two warps have one tap of the patches, then one sample
// position, each of them of eight keypoints; what they interpolate are the inputs of products that they share. Blocks
// with the same keypoints have some of the positions each; the last one to arrive adds the blocks' sums in their order.
#include "features.cuh"
#include "kernels.h"

namespace aliked_cuda {
namespace {

constexpr int kTaps = 9, kWarps = 2 * kTaps, kThreads = 32 * kWarps;
constexpr int kKeypoints = 16;  // of a block
constexpr int kPositions = 8;   // of a block: its share of M
constexpr int kSumsAtOnce = 4;  // warps whose sums are in shared memory together
constexpr int kSumming = 2 * kPositions;  // warps that have some

// Shared memory: tiles, then the taps' parts of the hidden layer, tiles again, the warps' sums.
template <typename H, int Q, int M>
struct Layout {
  using Tiles = SharedTiles<H, Q>;
  static constexpr int kDim = 4 * Q, kHidden = 2 * M, kSplits = M / kPositions, kRow = kDim + 4;
  static constexpr size_t kTileBytes = sizeof(H) * kTaps * Tiles::kElements;
  static constexpr size_t kPartBytes = sizeof(float) * kTaps * kKeypoints * kHidden;
  static constexpr size_t kSumBytes = sizeof(float) * kSumsAtOnce * kKeypoints * kRow;
  static constexpr size_t larger(size_t a, size_t b) { return a > b ? a : b; }
  static constexpr size_t kFirstBytes = larger(kTileBytes, larger(kPartBytes, kSumBytes));
  static constexpr size_t kBytes = kFirstBytes + sizeof(float) * kKeypoints * (kHidden + 2 * kPositions);
};

// Where the block's positions look, (keypoints, x and y, positions), pixels from the keypoint.
template <typename T, int C1, int Q, int M>
__device__ void find_offsets(const FeatureMaps<T>& maps, const WeightPointers<T, Head<T>>& weights, float keypoint_x,
                             float keypoint_y, unsigned char* shared, float* hidden, float* offsets) {
  using H = Head<T>;
  using Tiles = SharedTiles<H, Q>;
  constexpr int kHidden = 2 * M, kColumns = kHidden / 8, kOwn = kColumns / 2;
  const int tap = warp_id() / 2, half = warp_id() % 2, first = half * kOwn;
  const Tiles tiles = {reinterpret_cast<H*>(shared) + tap * Tiles::kElements};
  {
    Features<Q> features = {};
    add_features<T, C1, Q>(maps, static_cast<int>(keypoint_x) + tap % 3 - 1,
                           static_cast<int>(keypoint_y) + tap / 3 - 1, 1.0f, features);
    tiles.store(features, half);
  }
  __syncthreads();
  Sums sums[kOwn] = {};
#pragma unroll
  for (int k = 0; k < Tiles::kTiles; ++k) {
    const RowTile<H> tile = tiles.load(k);
#pragma unroll
    for (int n = 0; n < kOwn; ++n) {
      const int column = (tap * Tiles::kTiles + k) * kColumns + first + n;
      multiply(sums[n], tile, load_weights(weights.offset_hidden.tiles, column));
    }
  }
  __syncthreads();
  float* parts = reinterpret_cast<float*>(shared);
#pragma unroll
  for (int n = 0; n < kOwn; ++n) {
#pragma unroll
    for (int half_tile = 0; half_tile < 2; ++half_tile) {
      const float two[2] = {sums[n].values[2 * half_tile], sums[n].values[2 * half_tile + 1]};
      store_run<float, 2>(parts + (tap * kKeypoints + lane_id() / 4 + half_tile * 8) * kHidden + (first + n) * 8 +
                              lane_id() % 4 * 2, two);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kKeypoints * kHidden; i += kThreads) {
    float sum = weights.offset_hidden.bias[i % kHidden];
#pragma unroll
    for (int part = 0; part < kTaps; ++part) sum += parts[part * kKeypoints * kHidden + i];
    hidden[i] = selu(sum);
  }
  __syncthreads();
  const float limit = static_cast<float>(max(maps.width, maps.height)) / 4.0f;
  for (int i = threadIdx.x; i < kKeypoints * 2 * kPositions; i += kThreads) {
    const int keypoint = i / (2 * kPositions), axis = i / kPositions % 2;
    const int output = axis * M + blockIdx.y * kPositions + i % kPositions;  // all x before all y
    float sum = weights.offset_out_bias[output];
#pragma unroll
    for (int h = 0; h < kHidden; ++h) sum += hidden[keypoint * kHidden + h] * weights.offset_out[h * kHidden + output];
    offsets[i] = fminf(fmaxf(sum, -limit), limit);
  }
  __syncthreads();
}

// This warp's half of a position's share of the descriptors: SELU(sf_conv * sample) times the position's matrix.
template <typename H, int Q>
__device__ __forceinline__ void aggregate(const SharedTiles<H, Q>& tiles, int half, const H* sample_weights,
                                          const H* matrix, Sums (&sums)[Q / 2]) {
  constexpr int kColumns = Q / 2, kTiles = Q / 4;
#pragma unroll 1
  for (int pair = half * kTiles / 2; pair < (half + 1) * kTiles / 2; ++pair) {
    Sums projected[2] = {};
#pragma unroll
    for (int k = 0; k < kTiles; ++k) {
      const RowTile<H> tile = tiles.load(k);
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        multiply(projected[n], tile, load_weights(sample_weights, k * kColumns + 2 * pair + n));
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) projected[i / 4].values[i % 4] = selu(projected[i / 4].values[i % 4]);
    const RowTile<H> inputs = tile_of<H>(projected[0], projected[1]);
#pragma unroll
    for (int n = 0; n < kColumns; ++n) multiply(sums[n], inputs, load_weights(matrix, pair * kColumns + n));
  }
}

// Adds the warps' sums in a fixed order; afterwards `shared` holds four parts that make up the whole.
template <int Q>
__device__ void add_warps(Sums (&sums)[Q / 2], float* shared) {
  constexpr int kRow = 4 * Q + 4, kGroups = kSumming / kSumsAtOnce;
  float* rows = shared + warp_id() % kSumsAtOnce * kKeypoints * kRow;
  for (int group = kGroups - 1; group >= 0; --group) {
    if (warp_id() / kSumsAtOnce == group) {
#pragma unroll
      for (int n = 0; n < Q / 2; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float* at = rows + (lane_id() / 4 + 8 * half) * kRow + n * 8 + lane_id() % 4 * 2;
          float two[2] = {0, 0};
          if (group < kGroups - 1) load_run<float, 2>(at, two);
          for (int i = 0; i < 2; ++i) two[i] += sums[n].values[2 * half + i];
          store_run<float, 2>(at, two);
        }
      }
    }
    __syncthreads();
  }
}

// Whether this block is the last one of its tile to come here; it then sees what the others wrote.
__device__ bool is_last(int* arrivals, int blocks, int* shared) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    *shared = atomicAdd(arrivals, 1);
    if (*shared == blocks - 1) *arrivals = 0;
  }
  __syncthreads();
  __threadfence();
  return *shared == blocks - 1;
}

template <typename T, int C1, int Q, int M>
__global__ void __launch_bounds__(kThreads, 1) describe_kernel(Sizes sizes, WeightPointers<T, Head<T>> weights,
                                                               Maps<T, Head<T>> maps) {
  using H = Head<T>;
  using Size = Layout<H, Q, M>;
  constexpr int kDim = Size::kDim, kRow = Size::kRow, kSplits = Size::kSplits;
  unsigned char* shared = dynamic_shared();
  float* hidden = reinterpret_cast<float*>(shared + Size::kFirstBytes);
  float* offsets = hidden + kKeypoints * Size::kHidden;
  const int tile = blockIdx.x, split = blockIdx.y, batch = blockIdx.z, first = tile * kKeypoints;
  const int count = maps.detection.counts[batch];
  const FrameParameters& parameters = maps.detection.parameters[batch];
  const int64_t rows_before = static_cast<int64_t>(batch) * sizes.capacity;
  if (split == 0 && threadIdx.x < kKeypoints && first + static_cast<int>(threadIdx.x) < sizes.capacity) {
    // What matching will look for the largest in.
    maps.match.best_of_row[rows_before + first + threadIdx.x] = 0;
    maps.match.best_of_column[rows_before + first + threadIdx.x] = 0;
  }
  if (tile == 0 && split == 0 && threadIdx.x == 0) maps.match.ring_counts[parameters.own_slot] = count;
  if (first >= count) return;

  const FeatureMaps<T> features(sizes, maps, weights.project[0], batch, C1, Q);
  const int half = warp_id() % 2, own = warp_id() / 2;  // eight of the keypoints, a tap or a position
  const int row = lane_id() / 4 + 8 * half;
  const Keypoint& keypoint = maps.detection.keypoints[rows_before + min(first + row, count - 1)];
  const float x = keypoint.x, y = keypoint.y;
  find_offsets<T, C1, Q, M>(features, weights, x, y, shared, hidden, offsets);

  const SharedTiles<H, Q> tiles = {reinterpret_cast<H*>(shared) + own * SharedTiles<H, Q>::kElements};
  if (own < kPositions) {
    Features<Q> sampled = {};
    const float* offset = offsets + row * 2 * kPositions + own;
    add_sample<T, C1, Q>(features, x + offset[0], y + offset[kPositions], sampled);
    tiles.store(sampled, half);
  }
  __syncthreads();
  Sums sums[Q / 2] = {};
  if (own < kPositions) {
    const H* matrix = weights.aggregate + static_cast<int64_t>(split * kPositions + own) * kDim * kDim;
    aggregate<H, Q>(tiles, half, weights.sample, matrix, sums);
  }
  __syncthreads();
  float* parts = reinterpret_cast<float*>(shared);
  add_warps<Q>(sums, parts);

  const int num_tiles = (sizes.capacity + kKeypoints - 1) / kKeypoints;
  const int64_t tile_index = static_cast<int64_t>(batch) * num_tiles + tile;
  float* partial = maps.partial_descriptors + tile_index * kSplits * kKeypoints * kDim;
  for (int i = threadIdx.x; i < kKeypoints * kDim; i += kThreads) {
    float sum = 0;
#pragma unroll
    for (int part = 0; part < kSumsAtOnce; ++part) sum += parts[(part * kKeypoints + i / kDim) * kRow + i % kDim];
    partial[split * kKeypoints * kDim + i] = sum;
  }
  if (!is_last(maps.tile_arrivals + tile_index, kSplits, reinterpret_cast<int*>(hidden))) return;
  for (int r = warp_id(); r < kKeypoints && first + r < count; r += kWarps) {
    constexpr int kEach = kDim / 32;
    float values[kEach] = {}, squares = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const float* from = partial + r * kDim + i * 32 + lane_id();
#pragma unroll
      for (int part = 0; part < kSplits; ++part) values[i] += __ldcg(from + part * kKeypoints * kDim);
      squares += values[i] * values[i];
    }
    for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(~0u, squares, step);
    const float scale = 1.0f / fmaxf(sqrtf(squares), 1e-12f);
    float* out = maps.descriptors + (rows_before + first + r) * kDim;
    const int64_t kept = (static_cast<int64_t>(parameters.own_slot) * sizes.capacity + first + r) * kDim + lane_id();
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const float value = values[i] * scale;
      const __half high = __float2half_rn(value);
      out[i * 32 + lane_id()] = value;
      maps.match.ring_high[kept + i * 32] = high;
      maps.match.ring_low[kept + i * 32] = __float2half_rn(value - __half2float(high));
    }
  }
}

template <typename T, int C1, int Q, int M>
cudaError_t launch(const Launcher& launcher, const Sizes& sizes, const WeightPointers<T, Head<T>>& weights,
                   const Maps<T, Head<T>>& maps) {
  using Size = Layout<Head<T>, Q, M>;
  const dim3 grid((sizes.capacity + kKeypoints - 1) / kKeypoints, Size::kSplits, sizes.batch);
  return launcher("describe", describe_kernel<T, C1, Q, M>, grid, kThreads, Size::kBytes, sizes, weights, maps);
}

}  // namespace

template <typename T>
cudaError_t describe(const Launcher& launcher, const Model& model, const Sizes& sizes,
                     const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  if (model.channels[0] == 8) return launch<T, 8, 16, 16>(launcher, sizes, weights, maps);
  return model.positions == 16 ? launch<T, 16, 32, 16>(launcher, sizes, weights, maps)
                               : launch<T, 16, 32, 32>(launcher, sizes, weights, maps);
}

ALIKED_FOR_EACH_PRECISION(describe)

}  // namespace aliked_cuda
