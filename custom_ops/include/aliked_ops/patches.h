// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Where patches lie: the patch op of ALIKED's sparse deformable descriptor head (arXiv 2304.03608).
#pragma once

#include <cstdint>

#include "aliked_ops/numeric.h"

namespace aliked_ops {

// A (C, H, W) map of any strides.
template <typename T>
struct MapView {
  T* data;
  int64_t channels, height, width;
  int64_t channel_stride, row_stride, column_stride;
};

// Rows or columns before the point in a patch of K: K odd is centred, K even has one more after it.
ALIKED_HD int64_t patch_reach_before(int64_t kernel_size) { return (kernel_size - 1) / 2; }

// First row (or column) of the patch. A point so far out that its patch misses the map is moved to where it
// misses it just as well, since a coordinate may be any int64 and sums with it would overflow.
ALIKED_HD int64_t patch_start(int64_t point, int64_t size, int64_t kernel_size) {
  const int64_t nearest = point < -kernel_size ? -kernel_size : point;
  const int64_t clamped = nearest > size + kernel_size ? size + kernel_size : nearest;
  return clamped - patch_reach_before(kernel_size);
}

}  // namespace aliked_ops
