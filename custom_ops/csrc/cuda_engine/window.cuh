// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// A maximum and the window around it: its place in the order of all, and its refinement (DKD, arXiv 2112.02906).
#pragma once

#include "maps.h"
#include "numeric.cuh"

namespace aliked_cuda {

constexpr float kTemperature = 0.1f;

// Orders maxima by score, the strongest first, and those of equal score by their pixel: all keys differ, so whatever
// the order in which they are found, the result is the same. Scores are positive.
__device__ __forceinline__ uint64_t key_of(float score, uint32_t pixel) {
  return static_cast<uint64_t>(__float_as_uint(score)) << 32 | (0xFFFFFFFFu - pixel);
}
// The histogram's bin of a candidate, by its score's exponent and leading digits.
__device__ __forceinline__ int bin_of(uint64_t key) { return min(static_cast<int>(key >> 50), kBins - 1); }
__device__ __forceinline__ int pixel_of(uint64_t key) {
  return static_cast<int>(0xFFFFFFFFu - static_cast<uint32_t>(key));
}

// ALIKE's soft arg-max over the window and the spread of its peak; `center` is the maximum, inside of a border.
__device__ __forceinline__ Keypoint refine(const float* center, int stride, int x, int y) {
  constexpr int kWindow = 2 * kRadius + 1;
  float weights[kWindow * kWindow];
  float peak = *center;
#pragma unroll
  for (int i = 0; i < kWindow * kWindow; ++i) {
    weights[i] = center[(i / kWindow - kRadius) * stride + i % kWindow - kRadius];
    peak = fmaxf(peak, weights[i]);
  }
  float sum = 0, shift_x = 0, shift_y = 0;
#pragma unroll
  for (int i = 0; i < kWindow * kWindow; ++i) {
    weights[i] = __expf((weights[i] - peak) / kTemperature);
    sum += weights[i];
    shift_x += weights[i] * static_cast<float>(i % kWindow - kRadius);
    shift_y += weights[i] * static_cast<float>(i / kWindow - kRadius);
  }
  shift_x /= sum;
  shift_y /= sum;
  Keypoint keypoint = {static_cast<float>(x) + shift_x, static_cast<float>(y) + shift_y, 0, 0};
#pragma unroll
  for (int i = 0; i < kWindow * kWindow; ++i) {
    const float dx = (static_cast<float>(i % kWindow - kRadius) - shift_x) / kRadius;
    const float dy = (static_cast<float>(i / kWindow - kRadius) - shift_y) / kRadius;
    keypoint.dispersity += weights[i] / sum * (dx * dx + dy * dy);
  }
  return keypoint;
}

// The score at a position inside of the map, bilinear.
__device__ __forceinline__ float score_at(const float* scores, int stride, float x, float y) {
  const int column = static_cast<int>(x), row = static_cast<int>(y);
  const float right = x - static_cast<float>(column), down = y - static_cast<float>(row);
  const float* upper = scores + static_cast<int64_t>(row) * stride + column;
  const float* lower = upper + stride;
  const float above = upper[0] * (1 - right) + (right > 0 ? upper[1] * right : 0.0f);
  if (!(down > 0)) return above;
  return above * (1 - down) + (lower[0] * (1 - right) + (right > 0 ? lower[1] * right : 0.0f)) * down;
}

}  // namespace aliked_cuda
