// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Image rows, average pooling.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

void image_row(const aliked_cpu::ImageRow& row) {
  float* inside = row.out + 3 * row.left;
  if (row.column_stride == 3 && row.channel_stride == 1) {
    const uint8_t* __restrict pixels = row.pixels;
    float* __restrict out = inside;
    for (int i = 0; i < 3 * row.width; ++i) out[i] = pixels[i] / 255.0f;
  } else {
    for (int x = 0; x < row.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        inside[3 * x + c] = row.pixels[x * row.column_stride + c * row.channel_stride] / 255.0f;
      }
    }
  }
  float* last = inside + 3 * (row.width - 1);
  for (int c = 0; c < 3; ++c) {
    for (int x = 0; x < row.left; ++x) row.out[3 * x + c] = inside[c];
    for (int x = 1; x <= row.right; ++x) last[3 * x + c] = last[c];
  }
}

void average_rows(const float* const* rows, int factor, int pixels, int channels, float* out) {
  const float share = 1.0f / static_cast<float>(factor * factor);
  for (int x = 0; x < pixels; ++x) {
    for (int c = 0; c < channels; c += 8) {  // channels are a multiple of 8
      float sum[8] = {};
      for (int y = 0; y < factor; ++y) {
        for (int i = 0; i < factor; ++i) {
          const float* in = rows[y] + static_cast<int64_t>(x * factor + i) * channels + c;
          for (int lane = 0; lane < 8; ++lane) sum[lane] += in[lane];
        }
      }
      for (int lane = 0; lane < 8; ++lane) out[static_cast<int64_t>(x) * channels + c + lane] = sum[lane] * share;
    }
  }
}

}  // namespace
