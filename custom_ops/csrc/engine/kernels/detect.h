// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of the non-maximum suppression (DKD, arXiv 2112.02906).
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

// Appends the set bits of a comparison as columns.
ALIKED_INLINE int append_columns(uint32_t mask, int x, int width, int32_t* found, int count) {
  while (mask != 0) {
    const int column = x + __builtin_ctz(mask);
    if (column < width) found[count++] = column;
    mask &= mask - 1;
  }
  return count;
}

// Readable around the row: two rows above and below, two floats before and a vector after it, none above any score.
int window_maxima(const float* row, int64_t stride, int width, float threshold, float* scratch, int32_t* found) {
  float* column_maxima = scratch + 16;
  for (int x = -2; x < width + 2; x += kLanes) {
    Vec best = load(row + x);
    best = vmax(best, vmax(load(row - stride + x), load(row + stride + x)));
    best = vmax(best, vmax(load(row - 2 * stride + x), load(row + 2 * stride + x)));
    store(column_maxima + x, best);
  }
  int count = 0;
  for (int x = 0; x < width; x += kLanes) {
    Vec best = load(column_maxima + x);
    best = vmax(best, vmax(load(column_maxima + x - 1), load(column_maxima + x + 1)));
    best = vmax(best, vmax(load(column_maxima + x - 2), load(column_maxima + x + 2)));
    const Vec score = load(row + x);
    const uint32_t mask = mask_of((IntVec)((score == best) & (score > splat(threshold))));
    count = append_columns(mask, x, width, found, count);
  }
  return count;
}

int unsuppressed(const float* row, const uint8_t* suppressed, int width, float threshold, int32_t* found) {
  int count = 0;
  for (int x = 0; x < width; x += kLanes) {
    uint32_t mask = mask_of((IntVec)(load(row + x) >= splat(threshold)));
    while (mask != 0) {
      const int column = x + __builtin_ctz(mask);
      if (column < width && !suppressed[column]) found[count++] = column;
      mask &= mask - 1;
    }
  }
  return count;
}

}  // namespace
