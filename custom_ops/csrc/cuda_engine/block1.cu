// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The first block, from the image as uploaded: two 3x3 convolutions, and of their output all that others need: itself
// for the descriptors, its average pooling for the second block, and its share of the score head's first layer.
#include "heads.cuh"
#include "kernels.h"
#include "numeric.cuh"

namespace aliked_cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kWidth = 32;              // pixels of an output tile
constexpr int kMiddleWidth = kWidth + 2;
constexpr int kImageWidth = kWidth + 8;  // four to the halo, the rest for reads of the weightless fourth tap
constexpr int kImageChannels = 4;        // the fourth is zero

template <typename T>
struct Tile {
  static constexpr int kHeight = sizeof(T) == 4 ? 8 : 16;
  static constexpr int kBlocks = sizeof(T) == 4 ? 3 : 4;  // that share a multiprocessor
  static constexpr int kMiddleHeight = kHeight + 2, kImageHeight = kHeight + 4;
  static constexpr int kMiddlePixels = kMiddleHeight * kMiddleWidth;
  static constexpr int kImageElements = kImageHeight * kImageWidth * kImageChannels;
};

// The image's pixels around the output tile, scaled by 1/256 (exact in every type; the weights make up for 1/255).
template <typename T>
__device__ void load_image(const Sizes& sizes, const uint8_t* image, int y0, int x0, T* tile) {
  for (int i = threadIdx.x; i < Tile<T>::kImageHeight * kImageWidth; i += kThreads) {
    const int row = i / kImageWidth, column = i % kImageWidth;
    const int y = y0 - 2 + row, x = x0 - 2 + column;
    float pixel[4] = {0, 0, 0, 0};
    if (y >= 0 && y < sizes.padded_height && x >= 0 && x < sizes.padded_width && column < kWidth + 4) {
      const int inside_y = min(max(y - sizes.top, 0), sizes.height - 1);
      const int inside_x = min(max(x - sizes.left, 0), sizes.width - 1);
      const uint8_t* from = image + (static_cast<int64_t>(inside_y) * sizes.width + inside_x) * sizes.channels;
#pragma unroll
      for (int c = 0; c < 3; ++c) pixel[c] = static_cast<float>(from[sizes.channels == 1 ? 0 : c]) * (1.0f / 256);
    }
    store_run<T, 4>(tile + i * kImageChannels, pixel);
  }
}

// What the frame's later steps count in.
__device__ void clear_counts(const DetectionMaps& maps, int batch) {
  if (threadIdx.x == 0) maps.num_candidates[batch] = maps.num_selected[batch] = 0;
  for (int i = threadIdx.x; i < kBins; i += kThreads) maps.histogram[batch * kBins + i] = 0;
}

template <typename T, int C1>
__device__ void first_convolution(const Sizes& sizes, const Convolution<T>& weights, const T* image, int y0, int x0,
                                  T* middle) {
  constexpr int kColumns = C1 / 8, kPixel = padded_channels(C1), kCount = Tile<T>::kMiddlePixels;
  const int group = lane_id() / 4, first_channel = lane_id() % 4 * 2 * kColumns;
  float bias[2 * kColumns];
  load_run<float, 2 * kColumns>(weights.bias + first_channel, bias);
  ColumnTile<T> columns[3][kColumns];
#pragma unroll
  for (int k = 0; k < 3; ++k) {
#pragma unroll
    for (int n = 0; n < kColumns; ++n) columns[k][n] = load_weights(weights.tiles, k * kColumns + n);
  }
  for (int tile = warp_id(); tile * 16 < kCount; tile += kWarps) {
    int pixels[2], from[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      pixels[half] = tile * 16 + group + 8 * half;
      const int inside = min(pixels[half], kCount - 1);
      from[half] = (inside / kMiddleWidth * kImageWidth + inside % kMiddleWidth) * kImageChannels;
    }
    Sums sums[kColumns] = {};
#pragma unroll
    for (int k = 0; k < 3; ++k) {
      const T* row = image + k * kImageWidth * kImageChannels;
      const RowTile<T> rows = load_rows<T>(row + from[0], row + from[1]);
#pragma unroll
      for (int n = 0; n < kColumns; ++n) multiply(sums[n], rows, columns[k][n]);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (pixels[half] >= kCount) continue;
      const int y = y0 - 1 + pixels[half] / kMiddleWidth, x = x0 - 1 + pixels[half] % kMiddleWidth;
      const bool inside = y >= 0 && y < sizes.padded_height && x >= 0 && x < sizes.padded_width;
      float values[2 * kColumns];
#pragma unroll
      for (int i = 0; i < 2 * kColumns; ++i) {
        values[i] = inside ? selu(sums[i / 2].values[2 * half + i % 2] + bias[i]) : 0.0f;
      }
      store_run<T, 2 * kColumns>(middle + pixels[half] * kPixel + first_channel, values);
    }
  }
}

// The second convolution and what is made of it, at 16 pixels of two rows of the tile, the first one at y and x of the
// padded image.
template <typename T, int C1, int Q>
__device__ void finish_rows(const Sizes& sizes, const WeightPointers<T, Head<T>>& weights,
                            const Maps<T, Head<T>>& maps, const T* middle, int batch, int y, int x) {
  using H = Head<T>;
  constexpr int kColumns = C1 / 8, kPixel = padded_channels(C1), kTiles = input_tiles(9 * C1), kRows = 2;
  const int lane = lane_id(), group = lane / 4, first_channel = lane % 4 * 2 * kColumns;
  Sums sums[kRows][kColumns] = {};
  const TileRows<T> rows([&](int r) { return middle + r * kPixel; });
#pragma unroll
  for (int k = 0; k < kTiles; ++k) {
    const TapOffsets at = tap_offsets<C1>(k, kMiddleWidth, kPixel);
    RowTile<T> tiles[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const int down = row * kMiddleWidth * kPixel;
      tiles[row] = rows.load(at.low + down, at.high + down);
    }
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
      const ColumnTile<T> columns = load_weights(weights.block1[1].tiles, k * kColumns + n);
#pragma unroll
      for (int row = 0; row < kRows; ++row) multiply(sums[row][n], tiles[row], columns);
    }
  }

  float bias[2 * kColumns];
  load_run<float, 2 * kColumns>(weights.block1[1].bias + first_channel, bias);
  const int64_t first_pixel =
      (static_cast<int64_t>(batch) * sizes.padded_height + y) * sizes.padded_width + x + group;
  float values[kRows][2][2 * kColumns];
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    const int64_t pixel = first_pixel + row * sizes.padded_width;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 2 * kColumns; ++i) {
        values[row][half][i] = selu(sums[row][i / 2].values[2 * half + i % 2] + bias[i]);
      }
      store_run<T, 2 * kColumns>(maps.x1 + (pixel + 8 * half) * C1 + first_channel, values[row][half]);
    }
    const Sums share = project<H, C1, Q>(values[row][0], values[row][1], weights.project[0], weights.head[0],
                                         [](int, const auto&) {});
#pragma unroll
    for (int half = 0; half < 2; ++half) store_share(maps.detection.shares[0], pixel + 8 * half, share, half);
  }

  const int64_t pooled = (static_cast<int64_t>(batch) * (sizes.padded_height / 2) + y / 2) * (sizes.padded_width / 2) +
                         (x + group) / 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {  // average pooling of 2x2
    float means[2 * kColumns];
#pragma unroll
    for (int i = 0; i < 2 * kColumns; ++i) {
      const float sum = values[0][half][i] + values[1][half][i];
      means[i] = 0.25f * (sum + __shfl_xor_sync(~0u, sum, 4));
    }
    if (group % 2 == 0) store_run<T, 2 * kColumns>(maps.pooled[0] + (pooled + 4 * half) * C1 + first_channel, means);
  }
}

template <typename T, int C1, int Q>
__global__ void __launch_bounds__(kThreads, Tile<T>::kBlocks)
    block1_kernel(Sizes sizes, WeightPointers<T, Head<T>> weights, Maps<T, Head<T>> maps) {
  T* image = reinterpret_cast<T*>(dynamic_shared());
  T* middle = image + Tile<T>::kImageElements;
  const int batch = blockIdx.z, y0 = blockIdx.y * Tile<T>::kHeight, x0 = blockIdx.x * kWidth;
  if (blockIdx.x == 0 && blockIdx.y == 0) clear_counts(maps.detection, batch);
  const int64_t image_bytes = static_cast<int64_t>(sizes.height) * sizes.width * sizes.channels;
  load_image<T>(sizes, maps.detection.image + batch * image_bytes, y0, x0, image);
  __syncthreads();
  first_convolution<T, C1>(sizes, weights.block1[0], image, y0, x0, middle);
  __syncthreads();
  constexpr int kRows = Tile<T>::kHeight / 4;  // of a warp; two warps share them
  const int column = warp_id() % 2 * 16;
#pragma unroll 1
  for (int i = 0; i < kRows; i += 2) {
    const int row = warp_id() / 2 * kRows + i;
    finish_rows<T, C1, Q>(sizes, weights, maps, middle + (row * kMiddleWidth + column) * padded_channels(C1), batch,
                          y0 + row, x0 + column);
  }
}

template <typename T, int C1, int Q>
cudaError_t launch(const Launcher& launcher, const Sizes& sizes, const WeightPointers<T, Head<T>>& weights,
                   const Maps<T, Head<T>>& maps) {
  const dim3 grid(sizes.padded_width / kWidth, sizes.padded_height / Tile<T>::kHeight, sizes.batch);
  const size_t shared = sizeof(T) * (Tile<T>::kImageElements + Tile<T>::kMiddlePixels * padded_channels(C1));
  return launcher("block1", block1_kernel<T, C1, Q>, grid, kThreads, shared, sizes, weights, maps);
}

}  // namespace

template <typename T>
cudaError_t block1(const Launcher& launcher, const Model& model, const Sizes& sizes,
                   const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  return model.channels[0] == 16 ? launch<T, 16, 32>(launcher, sizes, weights, maps)
                                 : launch<T, 8, 16>(launcher, sizes, weights, maps);
}

ALIKED_FOR_EACH_PRECISION(block1)

}  // namespace aliked_cuda
