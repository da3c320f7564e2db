// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The score head behind its first layer: the levels' shares are upsampled and added, then three 3x3 convolutions as
// matrix products, and the sigmoid. Only the score map itself is ever stored. Keypoints are refined by differences of
// scores, so that float16 is too little here: numbers and weights are sums of two float16 ones, as good as float32 for
// tensor cores. The convolutions have four outputs and one; so a product's eight columns are those of two, and eight,
// pixels below each other, whose inputs overlap.
#include "bilinear.cuh"
#include "kernels.h"

namespace aliked_cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kHeight = 16, kWidth = 44;  // pixels of an output tile
constexpr int kGroups = 3;                // of 16 columns: what the convolutions compute, kWidth + 4 at the most
constexpr int kWideRows = kHeight + 6, kMiddleRows = kHeight + 4, kLastRows = kHeight + 2;
constexpr int kWideStride = 16 * kGroups + 2;  // columns
constexpr int kStride = 16 * kGroups + 4;      // columns that are read for the last 16 of them
constexpr int kChannels = 4;                   // behind the first convolution
constexpr int kWideElements = kWideRows * kWideStride * kScoreWidth;
constexpr int kMiddleElements = kMiddleRows * kStride * kChannels;
static_assert(kWidth + 4 <= 16 * kGroups, "the groups cover the tile with its border");
static_assert(kMiddleRows % 2 == 0 && kLastRows % 2 == 0 && kHeight % 8 == 0, "products have whole rows");

// The first layer's output at a pixel of the padded image.
__device__ __forceinline__ void combine_shares(const Sizes& sizes, const DetectionMaps& maps, int batch, int y, int x,
                               float (&sums)[kScoreWidth]) {
  const int height = sizes.padded_height, width = sizes.padded_width;
  load_run<float, kScoreWidth>(
      maps.shares[0] + ((static_cast<int64_t>(batch) * height + y) * width + x) * kScoreWidth, sums);
#pragma unroll
  for (int level = 0; level < 3; ++level) {
    const int rows = height / reduction(level), columns = width / reduction(level);
    const Neighbours down = neighbours(y, sizes.scale_y[level], rows), right = neighbours(x, sizes.scale_x[level], columns);
    const float* share = maps.shares[level + 1] + static_cast<int64_t>(batch) * rows * columns * kScoreWidth;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      const int row = corner / 2 ? down.high : down.low, column = corner % 2 ? right.high : right.low;
      const float weight = (corner / 2 ? down.fraction : 1 - down.fraction) *
                           (corner % 2 ? right.fraction : 1 - right.fraction);
      float values[kScoreWidth];
      load_run<float, kScoreWidth>(share + (static_cast<int64_t>(row) * columns + column) * kScoreWidth, values);
#pragma unroll
      for (int i = 0; i < kScoreWidth; ++i) sums[i] += weight * values[i];
    }
  }
}

// Numbers in two parts.
struct Planes {
  __half *high, *low;

  template <int N>
  __device__ __forceinline__ void store(int at, float (&values)[N]) const {
    store_run<__half, N>(high + at, values);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] -= __half2float(__float2half_rn(values[i]));
    store_run<__half, N>(low + at, values);
  }
};

__device__ __forceinline__ void multiply_parts(Sums& sums, const RowTile<__half>& high, const RowTile<__half>& low,
                                               const ScoreTiles& weights, int tile) {
  const ColumnTile<__half> high_weights = load_weights(weights.high, tile);
  multiply(sums, low, high_weights);
  multiply(sums, high, load_weights(weights.low, tile));
  multiply(sums, high, high_weights);
}

// Stores a product's two rows of pixels with SELU, zero outside of the padded image; x and y of the image's pixel at the
// product's first row.
__device__ __forceinline__ void store_rows(const Sizes& sizes, const Sums& sums, int y, int x, const Planes& to,
                                           int at) {
  const int channel = lane_id() % 2 * 2, below = lane_id() % 4 / 2, group = lane_id() / 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int at_y = y + below, at_x = x + group + 8 * half;
    const bool inside = at_y >= 0 && at_y < sizes.padded_height && at_x >= 0 && at_x < sizes.padded_width;
    float two[2] = {inside ? selu(sums.values[2 * half]) : 0.0f, inside ? selu(sums.values[2 * half + 1]) : 0.0f};
    to.store(at + (below * kStride + group + 8 * half) * kChannels + channel, two);
  }
}

// The products of kRows rows of pixels of four channels, from the first of them on.
template <int kRows>
__device__ __forceinline__ Sums multiply_rows(const Planes& from, int at, const ScoreTiles& weights) {
  const int first = at + lane_id() / 4 * kChannels;
  Sums sums = {};
#pragma unroll
  for (int k = 0; k < kRows; ++k) {
    const int row = first + k * kStride * kChannels, row_8 = row + 8 * kChannels;
    multiply_parts(sums, load_rows<__half>(from.high + row, from.high + row_8),
                   load_rows<__half>(from.low + row, from.low + row_8), weights, k);
  }
  return sums;
}

// From eight channels to four.
__device__ void convolve_wide(const Sizes& sizes, const Planes& wide, const ScoreTiles& weights, int y0, int x0,
                              const Planes& middle) {
  constexpr int kTiles = 6;  // four rows of three pixels
  for (int unit = warp_id(); unit < kMiddleRows / 2 * kGroups; unit += kWarps) {
    const int row = unit / kGroups * 2, column = unit % kGroups * 16;
    const auto begin = [&](int r) { return (row * kWideStride + column + r) * kScoreWidth; };
    const TileRows<__half> high([&](int r) { return wide.high + begin(r); });
    const TileRows<__half> low([&](int r) { return wide.low + begin(r); });
    Sums sums = {};
#pragma unroll
    for (int k = 0; k < kTiles; ++k) {
      const auto tap = [](int i) { return (i / 3 * kWideStride + i % 3) * kScoreWidth; };
      const int first = tap(2 * k), second = tap(2 * k + 1);
      multiply_parts(sums, high.load(first, second), low.load(first, second), weights, k);
    }
    store_rows(sizes, sums, y0 - 2 + row, x0 - 2 + column, middle, (row * kStride + column) * kChannels);
  }
}

__global__ void __launch_bounds__(kThreads, 4) score_kernel(Sizes sizes, ScoreWeights weights, DetectionMaps maps) {
  __half* memory = reinterpret_cast<__half*>(dynamic_shared());
  const Planes wide = {memory, memory + kWideElements};
  const Planes middle = {memory + 2 * kWideElements, memory + 2 * kWideElements + kMiddleElements};
  const Planes& last = wide;  // what was there has served by then
  const int batch = blockIdx.z, y0 = blockIdx.y * kHeight, x0 = blockIdx.x * kWidth;
  for (int i = threadIdx.x; i < kWideRows * kWideStride; i += kThreads) {
    const int y = y0 - 3 + i / kWideStride, x = x0 - 3 + i % kWideStride;
    const bool inside = y >= 0 && y < sizes.padded_height && x >= 0 && x < sizes.padded_width;
    float sums[kScoreWidth] = {};
    if (inside) combine_shares(sizes, maps, batch, y, x, sums);
#pragma unroll
    for (int c = 0; c < kScoreWidth; ++c) sums[c] = selu(sums[c]);  // of zero it is zero
    wide.store(i * kScoreWidth, sums);
  }
  // Columns beyond those that are computed are read with no weight, and must not be NaN.
  constexpr int kBeyond = (kStride - 16 * kGroups) * kChannels;
  for (int i = threadIdx.x; i < kMiddleRows * kBeyond; i += kThreads) {
    const int at = (i / kBeyond * kStride + 16 * kGroups) * kChannels + i % kBeyond;
    middle.high[at] = middle.low[at] = __float2half_rn(0.0f);
  }
  __syncthreads();
  convolve_wide(sizes, wide, weights.wide, y0, x0, middle);
  __syncthreads();
  for (int unit = warp_id(); unit < kLastRows / 2 * kGroups; unit += kWarps) {
    const int row = unit / kGroups * 2, column = unit % kGroups * 16, at = (row * kStride + column) * kChannels;
    store_rows(sizes, multiply_rows<4>(middle, at, weights.middle), y0 - 1 + row, x0 - 1 + column, last, at);
  }
  __syncthreads();
  for (int unit = warp_id(); unit < kHeight / 8 * kGroups; unit += kWarps) {
    const int row = unit / kGroups * 8, column = unit % kGroups * 16;
    const Sums sums = multiply_rows<10>(last, (row * kStride + column) * kChannels, weights.last);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at_x = column + lane_id() / 4 + i / 2 * 8, at_y = row + lane_id() % 4 * 2 + i % 2;
      const int x = x0 + at_x - sizes.left, y = y0 + at_y - sizes.top;
      if (at_x >= kWidth || y < 0 || y >= sizes.height || x < 0 || x >= sizes.width) continue;
      maps.scores[(static_cast<int64_t>(batch) * sizes.height + y) * sizes.width + x] =
          1.0f / (1.0f + __expf(-sums.values[i]));
    }
  }
}

}  // namespace

cudaError_t score_head(const Launcher& launcher, const Sizes& sizes, const ScoreWeights& weights,
                       const DetectionMaps& maps) {
  const dim3 grid((sizes.padded_width + kWidth - 1) / kWidth, (sizes.padded_height + kHeight - 1) / kHeight,
                  sizes.batch);
  const size_t shared = sizeof(__half) * 2 * (kWideElements + kMiddleElements);
  return launcher("score_head", score_kernel, grid, kThreads, shared, sizes, weights, maps);
}

}  // namespace aliked_cuda
