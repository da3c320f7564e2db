// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CPU kernels of get_patches. Each works on a range, so that the caller can share the work between threads:
// no result depends on how the ranges are cut.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "aliked_ops/patches.h"

namespace aliked_ops::cpu {

// The part [begin, end) of a patch's K rows (or columns) that lies on the map.
struct Overlap {
  int64_t begin, end;
};

inline Overlap overlap(int64_t start, int64_t size, int64_t kernel_size) {
  const int64_t begin = std::clamp<int64_t>(-start, 0, kernel_size);
  return {begin, std::clamp<int64_t>(size - start, begin, kernel_size)};
}

// Copies the patches of points [begin, end). points: (N, 2) as (x, y); patches: (N, C, K, K).
template <typename T>
void copy_patches(const MapView<const T>& map, const int64_t* points, int64_t kernel_size, int64_t begin, int64_t end,
                  T* patches) {
  const int64_t area = kernel_size * kernel_size;
  for (int64_t n = begin; n < end; ++n) {
    const int64_t left = patch_start(points[2 * n], map.width, kernel_size);
    const int64_t top = patch_start(points[2 * n + 1], map.height, kernel_size);
    const Overlap rows = overlap(top, map.height, kernel_size), columns = overlap(left, map.width, kernel_size);
    T* patch = patches + n * map.channels * area;
    if (rows.end - rows.begin != kernel_size || columns.end - columns.begin != kernel_size) {
      std::fill(patch, patch + map.channels * area, T(0));
    }
    const auto copy = [&](int64_t c, int64_t i, int64_t j) {
      patch[c * area + i * kernel_size + j] =
          map.data[c * map.channel_stride + (top + i) * map.row_stride + (left + j) * map.column_stride];
    };
    // Read memory in its order: channels innermost when the map stores them so.
    if (map.channel_stride < map.column_stride) {
      for (int64_t i = rows.begin; i < rows.end; ++i)
        for (int64_t j = columns.begin; j < columns.end; ++j)
          for (int64_t c = 0; c < map.channels; ++c) copy(c, i, j);
    } else {
      for (int64_t c = 0; c < map.channels; ++c)
        for (int64_t i = rows.begin; i < rows.end; ++i)
          for (int64_t j = columns.begin; j < columns.end; ++j) copy(c, i, j);
    }
  }
}

// Adds one channel's patches (of stride channels * K * K) up in a zeroed (H, W) plane, in the order of the
// points.
template <typename T, typename Real>
void add_patches(const T* patches, const int64_t* points, int64_t num_points, int64_t patch_stride, int64_t kernel_size,
                 int64_t height, int64_t width, Real* plane) {
  for (int64_t n = 0; n < num_points; ++n) {
    const int64_t left = patch_start(points[2 * n], width, kernel_size);
    const int64_t top = patch_start(points[2 * n + 1], height, kernel_size);
    const Overlap rows = overlap(top, height, kernel_size), columns = overlap(left, width, kernel_size);
    const T* patch = patches + n * patch_stride;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = columns.begin; j < columns.end; ++j) {
        plane[(top + i) * width + left + j] += static_cast<Real>(patch[i * kernel_size + j]);
      }
    }
  }
}

// The map's gradient for channels [begin, end). grad_patches: (N, C, K, K); grad_map: (C, H, W), overwritten.
// Patches overlap, so a pixel receives several gradients; half types are summed in Real.
template <typename T, typename Real>
void patches_backward(const T* grad_patches, const int64_t* points, int64_t num_points, int64_t channels,
                      int64_t kernel_size, int64_t height, int64_t width, int64_t begin, int64_t end, T* grad_map) {
  const int64_t area = kernel_size * kernel_size, pixels = height * width;
  std::vector<Real> sums(std::is_same_v<T, Real> ? 0 : pixels);
  for (int64_t c = begin; c < end; ++c) {
    T* target = grad_map + c * pixels;
    const auto add = [&](Real* plane) {
      std::fill(plane, plane + pixels, Real(0));
      add_patches(grad_patches + c * area, points, num_points, channels * area, kernel_size, height, width, plane);
    };
    if constexpr (std::is_same_v<T, Real>) {
      add(target);
    } else {
      add(sums.data());
      std::transform(sums.begin(), sums.end(), target, [](Real sum) { return static_cast<T>(sum); });
    }
  }
}

}  // namespace aliked_ops::cpu
