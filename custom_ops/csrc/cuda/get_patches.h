// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What one CUDA thread of get_patches does, as functors that a host compiler takes too, so that tests without
// a GPU can run them.
#pragma once

#include <cstdint>

#include "aliked_ops/patches.h"
#include "channels.h"

namespace aliked_ops::cuda {

// One number of a patch.
template <typename T>
struct GetPatches {
  MapView<const T> map;
  const int64_t* points;
  int64_t num_points, kernel_size;
  T* patches;

  int64_t count() const { return num_points * map.channels * kernel_size * kernel_size; }

  template <typename Index>
  ALIKED_HD void operator()(Index i) const {
    const Index size = static_cast<Index>(kernel_size), channels = static_cast<Index>(map.channels);
    const Index row_of_patch = i / size, plane = row_of_patch / size, n = plane / channels;
    const int64_t x = patch_start(points[2 * n], map.width, kernel_size) + i % size;
    const int64_t y = patch_start(points[2 * n + 1], map.height, kernel_size) + row_of_patch % size;
    const bool inside = x >= 0 && x < map.width && y >= 0 && y < map.height;
    const int64_t at = plane % channels * map.channel_stride + y * map.row_stride + x * map.column_stride;
    patches[i] = inside ? map.data[at] : Numeric<T>::store(0);
  }
};

// The bin of one point: its place in the map grown by what a patch reaches, row by row.
struct PatchBins {
  const int64_t* points;
  int64_t num_points, kernel_size, height, width;
  int64_t* bins;

  int64_t count() const { return num_points; }

  template <typename Index>
  ALIKED_HD void operator()(Index n) const {
    // Counted from the first place whose patch touches the map: there the patch starts at 1 - K.
    const int64_t column = patch_start(points[2 * n], width, kernel_size) + kernel_size - 1;
    const int64_t row = patch_start(points[2 * n + 1], height, kernel_size) + kernel_size - 1;
    const int64_t rows = height + kernel_size - 1, columns = width + kernel_size - 1;
    const bool touches = column >= 0 && column < columns && row >= 0 && row < rows;
    bins[n] = touches ? row * columns + column : rows * columns;
  }
};

// One pixel of the map's gradient, for a few channels: the sum over the points whose patches cover it.
template <typename T>
struct GetPatchesBackward {
  const T* grad_patches;
  const int64_t* points;
  const int64_t* order;
  const int64_t* starts;
  int64_t kernel_size, channels, height, width;
  T* grad_map;

  int64_t count() const { return channel_groups(channels) * height * width; }

  template <typename Index>
  ALIKED_HD void operator()(Index i) const {
    const Index pixels = static_cast<Index>(height * width), pixel = i % pixels;
    const int64_t y = pixel / static_cast<Index>(width), x = pixel % static_cast<Index>(width);
    const int64_t begin = static_cast<int64_t>(i / pixels) * kChannelsPerThread;
    const int64_t end = group_end(begin, channels);
    for (int64_t c = begin; c < end; ++c) {
      grad_map[c * height * width + pixel] = Numeric<T>::store(sum(c, y, x));
    }
  }

 private:
  // Row i of a patch lies on row y when the patch starts at y - i, which is bin row y - i + K - 1; columns
  // alike.
  ALIKED_HD RealOf<T> sum(int64_t c, int64_t y, int64_t x) const {
    RealOf<T> total = 0;
    for (int64_t i = kernel_size - 1; i >= 0; --i) {
      const int64_t first_bin = (y - i + kernel_size - 1) * (width + kernel_size - 1) + x;
      for (int64_t at = starts[first_bin]; at < starts[first_bin + kernel_size]; ++at) {
        const int64_t n = order[at], j = x - patch_start(points[2 * n], width, kernel_size);
        total += Numeric<T>::load(grad_patches[((n * channels + c) * kernel_size + i) * kernel_size + j]);
      }
    }
    return total;
  }
};

}  // namespace aliked_ops::cuda
