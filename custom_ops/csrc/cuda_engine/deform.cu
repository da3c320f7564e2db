// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The third and the fourth block, at an eighth and a thirty-second of the size: deformable convolutions (v1,
// arXiv 1703.06211). A block of threads has a square of 4x4 pixels: it computes their offsets, gathers what the moved
// taps see, and multiplies. The maps are small, so that what counts is how many threads have something to wait for.
#include "heads.cuh"
#include "kernels.h"

namespace aliked_cuda {
namespace {

constexpr int kSide = 4, kPixels = kSide * kSide, kHalo = kSide + 2;
constexpr int kTaps = 9, kOffsets = 2 * kTaps, kOffsetTiles = 3, kOffsetColumns = 8 * kOffsetTiles;

// kSkip: channels of the block's input, which the second convolution has as further inputs; 0 for the first one.
template <typename T, int kIn, int kOut, int kSkip>
struct Layout {
  static constexpr int kWarps = kOut / 8, kThreads = 32 * kWarps;
  static constexpr int kInputs = kTaps * kIn + kSkip, kRow = kInputs + 8;  // of a pixel's row of gathered inputs
  static constexpr int kHaloPixel = padded_channels(kIn);
  static constexpr size_t kHaloBytes = sizeof(T) * kHalo * kHalo * kHaloPixel;
  static constexpr size_t kPartBytes = sizeof(float) * kWarps * kPixels * kOffsetColumns;
  static constexpr size_t kGatheredBytes = sizeof(T) * kPixels * kRow;
  static constexpr size_t kOffsetBytes = sizeof(float) * kPixels * kOffsets;
  // What is gathered takes the place of the halo and of the parts of the offsets.
  static constexpr size_t kFirstBytes =
      kGatheredBytes > kHaloBytes + kPartBytes ? kGatheredBytes : kHaloBytes + kPartBytes;
  static constexpr size_t kBytes = (kFirstBytes + 15) / 16 * 16 + kOffsetBytes;
};

// The square's input with a border of one pixel, zero outside of the map.
template <typename T, int kIn, int kThreads>
__device__ void load_halo(const T* map, int height, int width, int y0, int x0, T* halo) {
  constexpr int kRun = 16 / sizeof(T), kRuns = kIn / kRun;
  for (int i = threadIdx.x; i < kHalo * kHalo * kRuns; i += kThreads) {
    const int pixel = i / kRuns, channel = i % kRuns * kRun;
    const int y = y0 - 1 + pixel / kHalo, x = x0 - 1 + pixel % kHalo;
    uint4 run = {0, 0, 0, 0};
    if (y >= 0 && y < height && x >= 0 && x < width) {
      run = *reinterpret_cast<const uint4*>(map + (static_cast<int64_t>(y) * width + x) * kIn + channel);
    }
    *reinterpret_cast<uint4*>(halo + pixel * padded_channels(kIn) + channel) = run;
  }
}

// Offsets (pixels, 18) of the square; the warps share the inputs, and their sums are added in a fixed order.
template <typename T, int kIn, int kWarps>
__device__ void find_offsets(const Convolution<T>& weights, const T* halo, float limit, float* parts, float* offsets) {
  constexpr int kPixel = padded_channels(kIn), kTiles = input_tiles(kTaps * kIn);
  const TileRows<T> rows([&](int r) { return halo + (r / kSide * kHalo + r % kSide) * kPixel; });
  Sums sums[kOffsetTiles] = {};
#pragma unroll 4
  for (int k = warp_id(); k < kTiles; k += kWarps) {
    const TapOffsets at = tap_offsets<kIn>(k, kHalo, kPixel);
    const RowTile<T> tile = rows.load(at.low, at.high);
#pragma unroll
    for (int n = 0; n < kOffsetTiles; ++n) multiply(sums[n], tile, load_weights<T, true>(weights.tiles, k * kOffsetTiles + n));
  }
  const int group = lane_id() / 4, column = lane_id() % 4 * 2;
#pragma unroll
  for (int n = 0; n < kOffsetTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int pixel = group + i / 2 * 8;
      parts[(warp_id() * kPixels + pixel) * kOffsetColumns + n * 8 + column + i % 2] = sums[n].values[i];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kPixels * kOffsets; i += 32 * kWarps) {
    const int pixel = i / kOffsets, offset = i % kOffsets;
    float sum = weights.bias[offset];
    for (int warp = 0; warp < kWarps; ++warp) sum += parts[(warp * kPixels + pixel) * kOffsetColumns + offset];
    offsets[i] = fminf(fmaxf(sum, -limit), limit);
  }
  __syncthreads();
}

// What the moved taps see: bilinear samples, zero outside of the map.
template <typename T, int kIn, int kRow, int kThreads>
__device__ void gather(const T* map, int height, int width, int y0, int x0, const float* offsets, T* gathered) {
  constexpr int kRun = 16 / sizeof(T), kRuns = kIn / kRun;
#pragma unroll 2
  for (int i = threadIdx.x; i < kPixels * kTaps * kRuns; i += kThreads) {
    const int channel = i % kRuns * kRun, tap = i / kRuns % kTaps, pixel = i / kRuns / kTaps;
    const float y = static_cast<float>(y0 + pixel / kSide - 1 + tap / 3) + offsets[pixel * kOffsets + 2 * tap];
    const float x = static_cast<float>(x0 + pixel % kSide - 1 + tap % 3) + offsets[pixel * kOffsets + 2 * tap + 1];
    // Written so that NaN fails. Where a corner lies outside of the map its weight is zero.
    const bool near = y > -1.0f && y < static_cast<float>(height) && x > -1.0f && x < static_cast<float>(width);
    const float above = near ? floorf(y) : -2.0f, before = near ? floorf(x) : -2.0f;
    const int top = static_cast<int>(above), left = static_cast<int>(before);
    const float down = y - above, right = x - before;
    const float weight_y[2] = {top >= 0 ? 1 - down : 0.0f, near && top + 1 < height ? down : 0.0f};
    const float weight_x[2] = {left >= 0 ? 1 - right : 0.0f, near && left + 1 < width ? right : 0.0f};
    WeightedRuns<T, kRun> sum;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      const int row = min(max(top + corner / 2, 0), height - 1), column = min(max(left + corner % 2, 0), width - 1);
      sum.add(map + static_cast<unsigned>(row * width + column) * kIn + channel,
              weight_y[corner / 2] * weight_x[corner % 2]);
    }
    sum.store(gathered + pixel * kRow + tap * kIn + channel);
  }
}

// The block's input at the square's pixels, behind what was gathered.
template <typename T, int kSkip, int kRow, int kThreads>
__device__ void append_skipped(const T* map, int height, int width, int y0, int x0, T* rows) {
  constexpr int kRun = 16 / sizeof(T), kRuns = kSkip / kRun;
  for (int i = threadIdx.x; i < kPixels * kRuns; i += kThreads) {
    const int pixel = i / kRuns, channel = i % kRuns * kRun;
    const int y = y0 + pixel / kSide, x = x0 + pixel % kSide;
    uint4 run = {0, 0, 0, 0};
    if (y < height && x < width) {
      run = *reinterpret_cast<const uint4*>(map + (static_cast<int64_t>(y) * width + x) * kSkip + channel);
    }
    *reinterpret_cast<uint4*>(rows + pixel * kRow + channel) = run;
  }
}

// This warp's eight columns of the square's product, in four chains so that products need not wait for each other.
template <typename T, int kTiles, int kColumns>
__device__ Sums multiply_rows(const TileRows<T>& rows, const T* tiles) {
  constexpr int kChains = 4;
  Sums chains[kChains] = {};
#pragma unroll 8
  for (int k = 0; k < kTiles; ++k) {
    multiply(chains[k % kChains], rows.load(k * 16), load_weights<T, true>(tiles, k * kColumns + warp_id()));
  }
  Sums sums;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sums.values[i] = (chains[0].values[i] + chains[1].values[i]) + (chains[2].values[i] + chains[3].values[i]);
  }
  return sums;
}

template <typename T>
struct Step {
  const T* input;      // (batch, height, width, kIn)
  const T* skipped;    // (batch, height, width, kSkip)
  Convolution<T> offsets, weights;
  int height, width;
};

template <typename T, int kIn, int kOut, int kSkip>
__device__ Sums deform(const Step<T>& step, int batch, int y0, int x0) {
  using Size = Layout<T, kIn, kOut, kSkip>;
  unsigned char* memory = dynamic_shared();
  T* halo = reinterpret_cast<T*>(memory);
  T* gathered = reinterpret_cast<T*>(memory);
  float* parts = reinterpret_cast<float*>(memory + Size::kHaloBytes);
  float* offsets = reinterpret_cast<float*>(memory + Size::kBytes - Size::kOffsetBytes);
  const int height = step.height, width = step.width;
  const int64_t pixels = static_cast<int64_t>(batch) * height * width;
  const T* map = step.input + pixels * kIn;
  load_halo<T, kIn, Size::kThreads>(map, height, width, y0, x0, halo);
  __syncthreads();
  const float limit = static_cast<float>(max(height, width)) / 4.0f;
  find_offsets<T, kIn, Size::kWarps>(step.offsets, halo, limit, parts, offsets);
  gather<T, kIn, Size::kRow, Size::kThreads>(map, height, width, y0, x0, offsets, gathered);
  if constexpr (kSkip > 0) {
    append_skipped<T, kSkip, Size::kRow, Size::kThreads>(step.skipped + pixels * kSkip, height, width, y0, x0,
                                                         gathered + kTaps * kIn);
  }
  __syncthreads();
  const TileRows<T> rows([&](int r) { return gathered + r * Size::kRow; });
  Sums sums = multiply_rows<T, input_tiles(Size::kInputs), kOut / 8>(rows, step.weights.tiles);
  const int channel = warp_id() * 8 + lane_id() % 4 * 2;
#pragma unroll
  for (int i = 0; i < 4; ++i) sums.values[i] = selu(sums.values[i] + step.weights.bias[channel + i % 2]);
  return sums;
}

template <typename T, int kIn, int kOut>
__global__ void __launch_bounds__(4 * kOut) first_kernel(Step<T> step, T* output) {
  const int batch = blockIdx.z, y0 = blockIdx.y * kSide, x0 = blockIdx.x * kSide;
  const Sums sums = deform<T, kIn, kOut, 0>(step, batch, y0, x0);
  const int channel = warp_id() * 8 + lane_id() % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int pixel = lane_id() / 4 + 8 * half, y = y0 + pixel / kSide, x = x0 + pixel % kSide;
    if (y >= step.height || x >= step.width) continue;
    const float two[2] = {sums.values[2 * half], sums.values[2 * half + 1]};
    store_run<T, 2>(output + ((static_cast<int64_t>(batch) * step.height + y) * step.width + x) * kOut + channel, two);
  }
}

template <typename T, typename H>
struct Results {
  const H *project, *head;
  H* level;       // (batch, height, width, Q)
  float* shares;  // (batch, height, width, 8)
  T* pooled;      // (batch, height / 4, width / 4, kOut); null where nothing follows
};

template <typename T, int kIn, int kOut, int kSkip, int Q>
__global__ void __launch_bounds__(4 * kOut) second_kernel(Step<T> step, Results<T, Head<T>> results) {
  using H = Head<T>;
  constexpr int kRow = kOut + 8, kProjectedRow = Q + 8;
  const int batch = blockIdx.z, y0 = blockIdx.y * kSide, x0 = blockIdx.x * kSide;
  const Sums sums = deform<T, kIn, kOut, kSkip>(step, batch, y0, x0);
  const int lane = lane_id(), warp = warp_id();
  H* rows = reinterpret_cast<H*>(dynamic_shared());  // (pixels, kOut), where the gathered inputs were
  H* projected = rows + kPixels * kRow;              // (pixels, Q)
  __syncthreads();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float two[2] = {sums.values[2 * half], sums.values[2 * half + 1]};
    store_run<H, 2>(rows + (lane / 4 + 8 * half) * kRow + warp * 8 + lane % 4 * 2, two);
  }
  __syncthreads();
  const auto pixel_of = [&](int r) {  // in the map, -1 outside of it
    const int y = y0 + r / kSide, x = x0 + r % kSide;
    return y < step.height && x < step.width ? (static_cast<int64_t>(batch) * step.height + y) * step.width + x : -1;
  };
  if (warp < Q / 8) {
    const TileRows<H> tile_rows([&](int r) { return rows + r * kRow; });
    Sums level = {};
#pragma unroll
    for (int k = 0; k < kOut / 16; ++k) {
      multiply(level, tile_rows.load(k * 16), load_weights<H, true>(results.project, k * (Q / 8) + warp));
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int channel = warp * 8 + lane % 4 * 2, row = lane / 4 + 8 * half;
      const float two[2] = {selu(level.values[2 * half]), selu(level.values[2 * half + 1])};
      store_run<H, 2>(projected + row * kProjectedRow + channel, two);
      if (pixel_of(row) >= 0) store_run<H, 2>(results.level + pixel_of(row) * Q + channel, two);
    }
  }
  if (results.pooled) {
    for (int channel = threadIdx.x; channel < kOut; channel += 4 * kOut) {
      float sum = 0;
      for (int r = 0; r < kPixels; ++r) {
        if constexpr (sizeof(H) == 4) {
          sum += rows[r * kRow + channel];
        } else {
          sum += __half2float(rows[r * kRow + channel]);
        }
      }
      const int64_t pooled = (static_cast<int64_t>(batch) * (step.height / kSide) + blockIdx.y) *
                                 (step.width / kSide) + blockIdx.x;
      if constexpr (std::is_same<T, float>::value) {
        results.pooled[pooled * kOut + channel] = sum * (1.0f / kPixels);
      } else if constexpr (std::is_same<T, __half>::value) {
        results.pooled[pooled * kOut + channel] = __float2half_rn(sum * (1.0f / kPixels));
      } else {
        results.pooled[pooled * kOut + channel] = __float2bfloat16_rn(sum * (1.0f / kPixels));
      }
    }
  }
  __syncthreads();
  if (warp == 0) {
    const TileRows<H> tile_rows([&](int r) { return projected + r * kProjectedRow; });
    Sums share = {};
#pragma unroll
    for (int k = 0; k < Q / 16; ++k) multiply(share, tile_rows.load(k * 16), load_weights<H, true>(results.head, k));
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t pixel = pixel_of(lane / 4 + 8 * half);
      if (pixel >= 0) store_share(results.shares, pixel, share, half);
    }
  }
}

template <typename T>
dim3 grid_of(const Step<T>& step, int batch) {
  return dim3((step.width + kSide - 1) / kSide, (step.height + kSide - 1) / kSide, batch);
}

// level: 1 for the third block, 2 for the fourth.
template <typename T, int kIn, int kOut>
cudaError_t launch_first(const Launcher& launcher, const Sizes& sizes, const Maps<T, Head<T>>& maps, int level,
                         const Convolution<T>& offsets, const Convolution<T>& weights) {
  const Step<T> step = {maps.pooled[level], nullptr, offsets, weights, sizes.padded_height / reduction(level),
                        sizes.padded_width / reduction(level)};
  return launcher(level == 1 ? "block3.conv1" : "block4.conv1", first_kernel<T, kIn, kOut>,
                  grid_of(step, sizes.batch), 4 * kOut, Layout<T, kIn, kOut, 0>::kBytes, step, maps.middle[level - 1]);
}

template <typename T, int kIn, int kOut, int Q>
cudaError_t launch_second(const Launcher& launcher, const Sizes& sizes, const Maps<T, Head<T>>& maps, int level,
                          const WeightPointers<T, Head<T>>& weights, const Convolution<T>& offsets,
                          const Convolution<T>& convolution) {
  const Step<T> step = {maps.middle[level - 1], maps.pooled[level], offsets, convolution,
                        sizes.padded_height / reduction(level), sizes.padded_width / reduction(level)};
  const Results<T, Head<T>> results = {weights.project[level + 1], weights.head[level + 1], maps.levels[level],
                                       maps.detection.shares[level + 1], level == 1 ? maps.pooled[2] : nullptr};
  return launcher(level == 1 ? "block3.conv2" : "block4.conv2", second_kernel<T, kOut, kOut, kIn, Q>,
                  grid_of(step, sizes.batch), 4 * kOut, Layout<T, kOut, kOut, kIn>::kBytes, step, results);
}

}  // namespace

template <typename T>
cudaError_t block3_first(const Launcher& launcher, const Model& model, const Sizes& sizes,
                         const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  const Convolution<T>&offsets = weights.block3_offsets[0], &convolution = weights.block3[0];
  return model.channels[0] == 16 ? launch_first<T, 32, 64>(launcher, sizes, maps, 1, offsets, convolution)
                                 : launch_first<T, 16, 32>(launcher, sizes, maps, 1, offsets, convolution);
}

template <typename T>
cudaError_t block3_second(const Launcher& launcher, const Model& model, const Sizes& sizes,
                          const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  const Convolution<T>&offsets = weights.block3_offsets[1], &convolution = weights.block3[1];
  return model.channels[0] == 16
             ? launch_second<T, 32, 64, 32>(launcher, sizes, maps, 1, weights, offsets, convolution)
             : launch_second<T, 16, 32, 16>(launcher, sizes, maps, 1, weights, offsets, convolution);
}

template <typename T>
cudaError_t block4_first(const Launcher& launcher, const Model& model, const Sizes& sizes,
                         const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  const Convolution<T>&offsets = weights.block4_offsets[0], &convolution = weights.block4[0];
  return model.channels[0] == 16 ? launch_first<T, 64, 128>(launcher, sizes, maps, 2, offsets, convolution)
                                 : launch_first<T, 32, 64>(launcher, sizes, maps, 2, offsets, convolution);
}

template <typename T>
cudaError_t block4_second(const Launcher& launcher, const Model& model, const Sizes& sizes,
                          const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps) {
  const Convolution<T>&offsets = weights.block4_offsets[1], &convolution = weights.block4[1];
  return model.channels[0] == 16
             ? launch_second<T, 64, 128, 32>(launcher, sizes, maps, 2, weights, offsets, convolution)
             : launch_second<T, 32, 64, 16>(launcher, sizes, maps, 2, weights, offsets, convolution);
}

ALIKED_FOR_EACH_PRECISION(block3_first)
ALIKED_FOR_EACH_PRECISION(block3_second)
ALIKED_FOR_EACH_PRECISION(block4_first)
ALIKED_FOR_EACH_PRECISION(block4_second)

}  // namespace aliked_cuda
