// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Bilinear upsampling.
#pragma once

#include "platform.cuh"

namespace aliked_cuda {

struct Neighbours {
  int low, high;
  float fraction;
};

// How far a step in a map of `size` is in one of `coarse`, align_corners = True, rounded as torch rounds.
inline float upsampling_scale(int size, int coarse) {
  return static_cast<float>(coarse - 1) / static_cast<float>(size - 1);
}

// Neighbours in a map of `coarse` of a position in the upsampled one.
__device__ __forceinline__ Neighbours neighbours(int i, float scale, int coarse) {
  const float position = scale * static_cast<float>(i);
  Neighbours found;
  found.low = min(static_cast<int>(position), coarse - 1);
  found.high = min(found.low + 1, coarse - 1);
  found.fraction = fminf(fmaxf(position - static_cast<float>(found.low), 0.0f), 1.0f);
  return found;
}

}  // namespace aliked_cuda
