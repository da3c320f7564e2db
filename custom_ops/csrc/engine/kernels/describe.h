// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The unit feature map at single pixels: level 1 recomputed, the coarser levels interpolated, never the whole map.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

using aliked_cpu::DescribeMaps;

template <int Quarter>
struct Feature {
  static constexpr int kVectors = Quarter / kLanes;
  Vec part[4][kVectors];  // one part for each level
};

// Level 1 of Pixels pixels: SELU(project * x1).
template <int Quarter, int Channels, int Pixels>
ALIKED_INLINE void level_1(const DescribeMaps& maps, const int32_t (&x)[Pixels], const int32_t (&y)[Pixels],
                           Vec (&out)[Pixels][Quarter / kLanes]) {
  constexpr int kVectors = Quarter / kLanes;
  const float* in[Pixels];
  ALIKED_UNROLL
  for (int p = 0; p < Pixels; ++p) {
    in[p] = maps.x1 + (static_cast<int64_t>(y[p]) * maps.padded_width + x[p]) * Channels;
    ALIKED_UNROLL
    for (int v = 0; v < kVectors; ++v) out[p][v] = Vec{};
  }
  ALIKED_UNROLL
  for (int c = 0; c < Channels; ++c) {
    ALIKED_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vec weight = load(maps.project + c * Quarter + v * kLanes);
      ALIKED_UNROLL
      for (int p = 0; p < Pixels; ++p) out[p][v] += weight * splat(in[p][c]);
    }
  }
  ALIKED_UNROLL
  for (int p = 0; p < Pixels; ++p) {
    ALIKED_UNROLL
    for (int v = 0; v < kVectors; ++v) out[p][v] = selu(out[p][v]);
  }
}

// The other levels at a pixel of the padded image, align_corners = True.
template <int Quarter>
ALIKED_INLINE void coarser_levels_at(const DescribeMaps& maps, int x, int y, Feature<Quarter>& feature) {
  ALIKED_UNROLL
  for (int level = 0; level < 3; ++level) {
    const aliked_cpu::Neighbours &rows = maps.rows[level], &columns = maps.columns[level];
    const int64_t stride = static_cast<int64_t>(maps.level_width[level]) * Quarter;
    const float* upper = maps.levels[level] + rows.low[y] * stride;
    const float* lower = maps.levels[level] + rows.high[y] * stride;
    const int64_t first = static_cast<int64_t>(columns.low[x]) * Quarter;
    const int64_t second = static_cast<int64_t>(columns.high[x]) * Quarter;
    const float down = rows.fraction[y], right = columns.fraction[x];
    const float w00 = (1 - down) * (1 - right), w01 = (1 - down) * right, w10 = down * (1 - right), w11 = down * right;
    ALIKED_UNROLL
    for (int v = 0; v < Feature<Quarter>::kVectors; ++v) {
      const int c = v * kLanes;
      feature.part[level + 1][v] = load(upper + first + c) * w00 + load(upper + second + c) * w01 +
                                   load(lower + first + c) * w10 + load(lower + second + c) * w11;
    }
  }
}

// 1 / max(|feature|, 1e-12), as torch.nn.functional.normalize.
template <int Quarter>
ALIKED_INLINE float inverse_norm(const Feature<Quarter>& feature) {
  Vec squares = {};
  ALIKED_UNROLL
  for (int level = 0; level < 4; ++level) {
    ALIKED_UNROLL
    for (int v = 0; v < Feature<Quarter>::kVectors; ++v) squares += feature.part[level][v] * feature.part[level][v];
  }
  const float norm = __builtin_sqrtf(horizontal_sum(squares));
  return 1.0f / (norm > 1e-12f ? norm : 1e-12f);
}

// out = sum over Pixels pixels of weight * unit feature; a weight of zero marks a pixel outside the image.
template <int Quarter, int Channels, int Pixels>
__attribute__((noinline)) void mix_features(const DescribeMaps& maps, const int32_t (&x)[Pixels],
                                            const int32_t (&y)[Pixels], const float (&weight)[Pixels], float* out) {
  constexpr int kVectors = Quarter / kLanes;
  Vec first[Pixels][kVectors];
  level_1<Quarter, Channels, Pixels>(maps, x, y, first);
  Feature<Quarter> sum = {};
  for (int p = 0; p < Pixels; ++p) {
    if (weight[p] == 0.0f) continue;
    Feature<Quarter> feature;
    ALIKED_UNROLL
    for (int v = 0; v < kVectors; ++v) feature.part[0][v] = first[p][v];
    coarser_levels_at<Quarter>(maps, x[p], y[p], feature);
    const float scale = weight[p] * inverse_norm<Quarter>(feature);
    ALIKED_UNROLL
    for (int level = 0; level < 4; ++level) {
      ALIKED_UNROLL
      for (int v = 0; v < kVectors; ++v) sum.part[level][v] += feature.part[level][v] * scale;
    }
  }
  ALIKED_UNROLL
  for (int level = 0; level < 4; ++level) {
    ALIKED_UNROLL
    for (int v = 0; v < kVectors; ++v) store(out + level * Quarter + v * kLanes, sum.part[level][v]);
  }
}

ALIKED_INLINE bool inside(const DescribeMaps& maps, int x, int y) {
  return x >= 0 && x < maps.width && y >= 0 && y < maps.height;
}

template <int Quarter, int Channels>
ALIKED_INLINE void features_at_pixels(const DescribeMaps& maps, const int32_t* xy, int count, float* out) {
  for (int i = 0; i < count; ++i) {
    const bool valid = inside(maps, xy[2 * i], xy[2 * i + 1]);
    const int32_t x[1] = {valid ? xy[2 * i] + maps.left : 0}, y[1] = {valid ? xy[2 * i + 1] + maps.top : 0};
    const float weight[1] = {valid ? 1.0f : 0.0f};
    mix_features<Quarter, Channels, 1>(maps, x, y, weight, out + static_cast<int64_t>(i) * 4 * Quarter);
  }
}

// The corners of a bilinear sample, in the padded image; a corner outside the image has weight 0 and position (0, 0).
struct Corners {
  int32_t x[4], y[4];
  float weight[4];
};

ALIKED_INLINE Corners corners_of(const DescribeMaps& maps, const float* xy) {
  Corners corners = {};
  const float px = xy[0], py = xy[1];
  // Written so that NaN fails; beyond this no corner lies inside.
  if (!(px > -1.0f && py > -1.0f && px < static_cast<float>(maps.width) && py < static_cast<float>(maps.height))) {
    return corners;
  }
  const float left = __builtin_floorf(px), top = __builtin_floorf(py);
  const float right = px - left, down = py - top;
  for (int corner = 0; corner < 4; ++corner) {
    const int x = static_cast<int>(left) + (corner & 1), y = static_cast<int>(top) + (corner >> 1);
    if (!inside(maps, x, y)) continue;
    corners.x[corner] = x + maps.left;
    corners.y[corner] = y + maps.top;
    corners.weight[corner] = ((corner & 1) ? right : 1 - right) * ((corner >> 1) ? down : 1 - down);
  }
  return corners;
}

// Starts to read what a sample needs from the two largest maps.
template <int Quarter, int Channels>
ALIKED_INLINE void prefetch_sample(const DescribeMaps& maps, const Corners& corners) {
  for (int corner = 0; corner < 4; ++corner) {
    __builtin_prefetch(maps.x1 + (static_cast<int64_t>(corners.y[corner]) * maps.padded_width + corners.x[corner]) *
                                     Channels);
  }
  const int x = maps.columns[0].low[corners.x[0]], y = maps.rows[0].low[corners.y[0]];
  const float* level = maps.levels[0] + (static_cast<int64_t>(y) * maps.level_width[0] + x) * Quarter;
  const int64_t row = static_cast<int64_t>(maps.level_width[0]) * Quarter;
  for (int c = 0; c < 2 * Quarter; c += 16) {
    __builtin_prefetch(level + c);
    __builtin_prefetch(level + row + c);
  }
}

template <int Quarter, int Channels>
ALIKED_INLINE void sampled_features(const DescribeMaps& maps, const float* xy, int count, float* out) {
  constexpr int kAhead = 4;  // samples: they lie anywhere, so only we know where the next will be
  Corners corners[kAhead + 1];
  for (int i = 0; i < count + kAhead; ++i) {
    if (i < count) {
      corners[i % (kAhead + 1)] = corners_of(maps, xy + 2 * i);
      prefetch_sample<Quarter, Channels>(maps, corners[i % (kAhead + 1)]);
    }
    const int ready = i - kAhead;
    if (ready < 0) continue;
    const Corners& sample = corners[ready % (kAhead + 1)];
    mix_features<Quarter, Channels, 4>(maps, sample.x, sample.y, sample.weight,
                                       out + static_cast<int64_t>(ready) * 4 * Quarter);
  }
}

void features_at(const DescribeMaps& maps, const int32_t* xy, int count, float* out) {
  maps.quarter == 32 ? features_at_pixels<32, 16>(maps, xy, count, out)
                     : features_at_pixels<16, 8>(maps, xy, count, out);
}

void sample_features(const DescribeMaps& maps, const float* xy, int count, float* out) {
  maps.quarter == 32 ? sampled_features<32, 16>(maps, xy, count, out) : sampled_features<16, 8>(maps, xy, count, out);
}

void normalise(float* rows, int count, int width) {
  for (int i = 0; i < count; ++i) {
    float* row = rows + static_cast<int64_t>(i) * width;
    Vec squares = {};
    for (int c = 0; c < width; c += kLanes) squares += load(row + c) * load(row + c);
    const float norm = __builtin_sqrtf(horizontal_sum(squares));
    const Vec scale = splat(1.0f / (norm > 1e-12f ? norm : 1e-12f));
    for (int c = 0; c < width; c += kLanes) store(row + c, load(row + c) * scale);
  }
}

}  // namespace
