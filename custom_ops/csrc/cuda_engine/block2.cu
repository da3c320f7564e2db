// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The second block, at half the size: two 3x3 convolutions of which the second carries the block's 1x1 convolution of
// its input, then the second level of the feature map and the average pooling for the third block.
#include "heads.cuh"
#include "kernels.h"

namespace aliked_cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kWidth = 16;  // pixels of an output tile
constexpr int kMiddleWidth = kWidth + 2, kInputWidth = kWidth + 4;

template <typename T>
struct Tile {
  static constexpr int kHeight = sizeof(T) == 4 ? 8 : 16;
  static constexpr int kBlocks = sizeof(T) == 4 ? 2 : 3;  // that share a multiprocessor
  static constexpr int kRows = kHeight / kWarps;  // of a warp
  static constexpr int kMiddleHeight = kHeight + 2, kInputHeight = kHeight + 4;
  static constexpr int kMiddlePixels = kMiddleHeight * kMiddleWidth, kInputPixels = kInputHeight * kInputWidth;
};

// A part of a map around a tile into shared memory, zero outside of the map.
template <typename T, int C>
__device__ void load_input(const T* map, int height, int width, int y0, int x0, int rows, int columns, T* tile) {
  constexpr int kRun = 16 / sizeof(T), kRuns = C / kRun;  // of 16 bytes
  for (int i = threadIdx.x; i < rows * columns * kRuns; i += kThreads) {
    const int pixel = i / kRuns, channel = i % kRuns * kRun;
    const int y = y0 + pixel / columns, x = x0 + pixel % columns;
    uint4 run = {0, 0, 0, 0};
    if (y >= 0 && y < height && x >= 0 && x < width) {
      run = *reinterpret_cast<const uint4*>(map + (static_cast<int64_t>(y) * width + x) * C + channel);
    }
    *reinterpret_cast<uint4*>(tile + pixel * padded_channels(C) + channel) = run;
  }
}

template <typename T, int C1, int C2>
__device__ void first_convolution(const Convolution<T>& weights, const T* input, int height, int width, int y0,
                                  int x0, T* middle) {
  constexpr int kColumns = C2 / 8, kPixel = padded_channels(C1), kCount = Tile<T>::kMiddlePixels;
  constexpr int kTiles = (kCount + 16 * kWarps - 1) / (16 * kWarps);  // of a warp
  const auto pixel_of = [&](int tile, int row) { return min((warp_id() + tile * kWarps) * 16 + row, kCount - 1); };
  Sums sums[kTiles][kColumns] = {};
  const T* first[kTiles];
  const T* second[kTiles];
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    const TileRows<T> rows([&](int row) {
      const int pixel = pixel_of(tile, row);
      return input + (pixel / kMiddleWidth * kInputWidth + pixel % kMiddleWidth) * kPixel;
    });
    first[tile] = rows.first;
    second[tile] = rows.second;
  }
#pragma unroll
  for (int k = 0; k < input_tiles(9 * C1); ++k) {
    ColumnTile<T> columns[kColumns];
#pragma unroll
    for (int n = 0; n < kColumns; ++n) columns[n] = load_weights(weights.tiles, k * kColumns + n);
    const TapOffsets at = tap_offsets<C1>(k, kInputWidth, kPixel);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const RowTile<T> rows = TileRows<T>(first[tile], second[tile]).load(at.low, at.high);
#pragma unroll
      for (int n = 0; n < kColumns; ++n) multiply(sums[tile][n], rows, columns[n]);
    }
  }
  const int group = lane_id() / 4, first_channel = lane_id() % 4 * 2 * kColumns;
  float bias[2 * kColumns];
  load_run<float, 2 * kColumns>(weights.bias + first_channel, bias);
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int pixel = (warp_id() + tile * kWarps) * 16 + group + 8 * half;
      if (pixel >= kCount) continue;
      const int y = y0 - 1 + pixel / kMiddleWidth, x = x0 - 1 + pixel % kMiddleWidth;
      const bool inside = y >= 0 && y < height && x >= 0 && x < width;
      float values[2 * kColumns];
#pragma unroll
      for (int i = 0; i < 2 * kColumns; ++i) {
        values[i] = inside ? selu(sums[tile][i / 2].values[2 * half + i % 2] + bias[i]) : 0.0f;
      }
      store_run<T, 2 * kColumns>(middle + pixel * padded_channels(C2) + first_channel, values);
    }
  }
}

template <typename T, int C1, int C2, int Q>
__global__ void __launch_bounds__(kThreads, Tile<T>::kBlocks) block2_kernel(Sizes sizes, WeightPointers<T, Head<T>> weights,
                                                          Maps<T, Head<T>> maps) {
  using H = Head<T>;
  using Size = Tile<T>;
  constexpr int kColumns = C2 / 8, kIn = padded_channels(C1), kPixel = padded_channels(C2), kRows = Size::kRows;
  T* input = reinterpret_cast<T*>(dynamic_shared());
  T* middle = input + Size::kInputPixels * kIn;
  float* row_sums = reinterpret_cast<float*>(middle + Size::kMiddlePixels * kPixel);  // (warps, 4, C2)
  const int batch = blockIdx.z, y0 = blockIdx.y * Size::kHeight, x0 = blockIdx.x * kWidth;
  const int height = sizes.padded_height / 2, width = sizes.padded_width / 2;
  load_input<T, C1>(maps.pooled[0] + static_cast<int64_t>(batch) * height * width * C1, height, width, y0 - 2, x0 - 2,
                    Size::kInputHeight, kInputWidth, input);
  __syncthreads();
  first_convolution<T, C1, C2>(weights.block2[0], input, height, width, y0, x0, middle);
  __syncthreads();

  const int lane = lane_id(), group = lane / 4, first_channel = lane % 4 * 2 * kColumns;
  const int first_row = warp_id() * kRows;
  Sums sums[kRows][kColumns] = {};
  const TileRows<T> rows([&](int r) { return middle + (first_row * kMiddleWidth + r) * kPixel; });
  const TileRows<T> skipped([&](int r) { return input + ((first_row + 2) * kInputWidth + 2 + r) * kIn; });
#pragma unroll
  for (int k = 0; k < input_tiles(9 * C2) + input_tiles(C1); ++k) {
    constexpr int kConvolved = input_tiles(9 * C2);
    ColumnTile<T> columns[kColumns];
#pragma unroll
    for (int n = 0; n < kColumns; ++n) columns[n] = load_weights(weights.block2[1].tiles, k * kColumns + n);
    const TapOffsets at = tap_offsets<C2>(k, kMiddleWidth, kPixel);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const int down = row * kMiddleWidth * kPixel;
      // Eight channels are half a tile: the other half has no weights.
      const RowTile<T> tile = k < kConvolved ? rows.load(at.low + down, at.high + down)
                                             : skipped.load(row * kInputWidth * kIn,
                                                            row * kInputWidth * kIn + (C1 == 8 ? 0 : 8));
#pragma unroll
      for (int n = 0; n < kColumns; ++n) multiply(sums[row][n], tile, columns[n]);
    }
  }

  float bias[2 * kColumns];
  load_run<float, 2 * kColumns>(weights.block2[1].bias + first_channel, bias);
  float values[kRows][2][2 * kColumns];
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 2 * kColumns; ++i) {
        values[row][half][i] = selu(sums[row][i / 2].values[2 * half + i % 2] + bias[i]);
      }
    }
    const int64_t pixel =
        (static_cast<int64_t>(batch) * height + y0 + first_row + row) * width + x0 + group;
    const Sums share = project<H, C2, Q>(
        values[row][0], values[row][1], weights.project[1], weights.head[1], [&](int half, const auto& level) {
          store_run<H, Q / 4>(maps.levels[0] + (pixel + 8 * half) * Q + lane % 4 * (Q / 4), level);
        });
#pragma unroll
    for (int half = 0; half < 2; ++half) store_share(maps.detection.shares[1], pixel + 8 * half, share, half);
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {  // average pooling of 4x4: within a warp along rows, then between warps
#pragma unroll
    for (int i = 0; i < 2 * kColumns; ++i) {
      float sum = values[0][half][i];
#pragma unroll
      for (int row = 1; row < kRows; ++row) sum += values[row][half][i];
      sum += __shfl_xor_sync(~0u, sum, 4);
      sum += __shfl_xor_sync(~0u, sum, 8);
      if (group % 4 == 0) row_sums[(warp_id() * 4 + group / 4 + 2 * half) * C2 + first_channel + i] = sum;
    }
  }
  __syncthreads();
  constexpr int kPooledRows = Size::kHeight / 4, kSharing = 4 / kRows;
  for (int i = threadIdx.x; i < kPooledRows * 4 * C2 / 2; i += kThreads) {
    const int channel = i % (C2 / 2) * 2, column = i / (C2 / 2) % 4, row = i / (C2 / 2) / 4;
    float means[2] = {0, 0};
    for (int warp = row * kSharing; warp < (row + 1) * kSharing; ++warp) {
      for (int c = 0; c < 2; ++c) means[c] += row_sums[(warp * 4 + column) * C2 + channel + c];
    }
    for (float& mean : means) mean *= 1.0f / 16;
    const int64_t pixel = (static_cast<int64_t>(batch) * (height / 4) + y0 / 4 + row) * (width / 4) + x0 / 4 + column;
    store_run<T, 2>(maps.pooled[1] + pixel * C2 + channel, means);
  }
}

template <typename T, int C1, int C2, int Q>
cudaError_t launch(const Launcher& launcher, const Sizes& sizes, const WeightPointers<T, Head<T>>& weights,
                   const Maps<T, Head<T>>& maps) {
  using Size = Tile<T>;
  const dim3 grid(sizes.padded_width / 2 / kWidth, sizes.padded_height / 2 / Size::kHeight, sizes.batch);
  const size_t shared = sizeof(T) * (Size::kInputPixels * padded_channels(C1) +
                                     Size::kMiddlePixels * padded_channels(C2)) + sizeof(float) * kWarps * 4 * C2;
  return launcher("block2", block2_kernel<T, C1, C2, Q>, grid, kThreads, shared, sizes, weights, maps);
}

}  // namespace

template <typename T>
cudaError_t block2(const Launcher& launcher, const Model& model, const Sizes& sizes,
                   const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  return model.channels[0] == 16 ? launch<T, 16, 32, 32>(launcher, sizes, weights, maps)
                                 : launch<T, 8, 16, 16>(launcher, sizes, weights, maps);
}

ALIKED_FOR_EACH_PRECISION(block2)

}  // namespace aliked_cuda
