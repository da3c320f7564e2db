// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Thins the maxima by the cells of a grid; a slower step for who wants it. A block of threads has an image.
#include "kernels.h"
#include "window.cuh"

namespace aliked_cuda {
namespace {

constexpr int kThreads = 1024;

constexpr int64_t power_of_two_above(int64_t count) {
  int64_t power = 1;
  while (power < count) power *= 2;
  return power;
}

// Sorts a power of two of elements; order_pair(low, high, ascending) swaps two that are not in order. All threads of
// the block take part.
template <typename Swap>
__device__ void sort_network(int count, const Swap& order_pair) {
  for (int size = 2; size <= count; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      for (int i = threadIdx.x; i < count / 2; i += kThreads) {
        const int low = i / stride * 2 * stride + i % stride;
        order_pair(low, low + stride, (low & size) == 0);
      }
      __syncthreads();
    }
  }
}

// Leaves the strongest of each cell. The candidates are sorted by their cell and their strength: one whose predecessor
// by as many as a cell may have is of another cell is kept.
__global__ void __launch_bounds__(kThreads) cells_kernel(Sizes sizes, DetectionMaps maps) {
  int& num_kept = *reinterpret_cast<int*>(dynamic_shared());
  const int batch = blockIdx.x;
  const int64_t pixels = static_cast<int64_t>(sizes.height) * sizes.width, capacity = maps.sort_capacity;
  const FrameParameters& parameters = maps.parameters[batch];
  const float* scores = maps.scores + batch * pixels;
  uint64_t* candidates = maps.candidates + batch * pixels;
  uint64_t* keys = maps.sorted + batch * capacity;
  uint32_t* cells = maps.cells + batch * capacity;
  const int count = maps.num_candidates[batch];
  int rounded = 1;
  while (rounded < count) rounded *= 2;
  for (int i = threadIdx.x; i < rounded; i += kThreads) {
    keys[i] = i < count ? candidates[i] : 0;
    cells[i] = 0xFFFFFFFFu;  // behind all others
    if (i >= count) continue;
    const int pixel = pixel_of(keys[i]);
    const Keypoint refined = refine(scores + pixel, sizes.width, pixel % sizes.width, pixel / sizes.width);
    const int64_t row = static_cast<int64_t>(refined.y + 0.5f) * parameters.grid_rows / sizes.height;
    const int64_t column = static_cast<int64_t>(refined.x + 0.5f) * parameters.grid_columns / sizes.width;
    cells[i] = static_cast<uint32_t>(row * parameters.grid_columns + column);
  }
  int* histogram = maps.histogram + batch * kBins;
  for (int i = threadIdx.x; i < kBins; i += kThreads) histogram[i] = 0;
  if (threadIdx.x == 0) num_kept = 0;
  __syncthreads();
  sort_network(rounded, [&](int low, int high, bool ascending) {
    const bool is_before = cells[low] != cells[high] ? cells[low] < cells[high] : keys[low] > keys[high];
    if (is_before == ascending) return;
    const uint64_t key = keys[low];
    const uint32_t cell = cells[low];
    keys[low] = keys[high];
    cells[low] = cells[high];
    keys[high] = key;
    cells[high] = cell;
  });
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const bool is_kept = i < parameters.max_per_cell || cells[i - parameters.max_per_cell] != cells[i];
    if (!is_kept) continue;
    candidates[atomicAdd(&num_kept, 1)] = keys[i];
    atomicAdd(histogram + bin_of(keys[i]), 1);
  }
  __syncthreads();
  if (threadIdx.x == 0) maps.num_candidates[batch] = num_kept;
}

}  // namespace

int64_t sort_capacity(const Sizes& sizes) {
  return power_of_two_above(static_cast<int64_t>(sizes.height) * sizes.width);
}

cudaError_t thin_cells(const Launcher& launcher, const Sizes& sizes, const DetectionMaps& maps) {
  return launcher("thin_cells", cells_kernel, dim3(sizes.batch), kThreads, sizeof(int), sizes, maps);
}

}  // namespace aliked_cuda
