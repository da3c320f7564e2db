// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Columns of a deformable convolution (v1, arXiv 1703.06211): bilinear samples at nine moved taps, zero outside.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

using aliked_cpu::DeformGather;

// A position that no map contains any more, small enough to be converted to an integer.
ALIKED_INLINE float clamp_offset(float value, float limit) {
  if (value < -limit) return -limit;
  return value > limit ? limit : value;
}

ALIKED_INLINE void gather_tap(const DeformGather& g, float y, float x, float* out) {
  const int channels = g.channels;
  // Written so that NaN fails.
  if (!(y > -1.0f && y < static_cast<float>(g.height) && x > -1.0f && x < static_cast<float>(g.width))) {
    for (int c = 0; c < channels; c += kLanes) store(out + c, Vec{});
    return;
  }
  const float top = __builtin_floorf(y), left = __builtin_floorf(x);
  const float down = y - top, right = x - left;
  const int row = static_cast<int>(top), column = static_cast<int>(left);
  const bool above = row >= 0, below = row + 1 < g.height, before = column >= 0, after = column + 1 < g.width;
  // A corner outside the map has weight zero and is read at the nearest pixel inside.
  const float w00 = above && before ? (1 - down) * (1 - right) : 0.0f, w01 = above && after ? (1 - down) * right : 0.0f;
  const float w10 = below && before ? down * (1 - right) : 0.0f, w11 = below && after ? down * right : 0.0f;
  const float* upper = g.map + (above ? row : 0) * g.row_stride;
  const float* lower = g.map + (below ? row + 1 : g.height - 1) * g.row_stride;
  const int64_t first = static_cast<int64_t>(before ? column : 0) * channels;
  const int64_t second = static_cast<int64_t>(after ? column + 1 : g.width - 1) * channels;
  for (int c = 0; c < channels; c += kLanes) {
    store(out + c, load(upper + first + c) * w00 + load(upper + second + c) * w01 + load(lower + first + c) * w10 +
                       load(lower + second + c) * w11);
  }
}

void gather(const DeformGather& g) {
  for (int p = 0; p < g.pixels; ++p) {
    const float* offsets = g.offsets + static_cast<int64_t>(p) * g.offset_stride;
    float* out = g.out + p * g.out_stride;
    for (int tap = 0; tap < 9; ++tap) {
      const float dy = clamp_offset(offsets[2 * tap], g.limit), dx = clamp_offset(offsets[2 * tap + 1], g.limit);
      gather_tap(g, static_cast<float>(g.y - 1 + tap / 3) + dy, static_cast<float>(g.first_x + p - 1 + tap % 3) + dx,
                 out + tap * g.channels);
    }
  }
}

}  // namespace
