// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The unit feature map at single pixels, out of the pyramid's levels; the map itself is never stored. Four lanes share a
// row, which is a pixel, and a warp has eight rows: rows g of a tile, or rows g + 8.
#pragma once

#include "bilinear.cuh"
#include "maps.h"
#include "numeric.cuh"

namespace aliked_cuda {

template <typename T>
struct FeatureMaps {
  const T* x1;
  const Head<T>* levels[3];
  const Head<T>* project;
  int height, width, top, left, padded_height, padded_width;
  float scale_y[3], scale_x[3];

  __device__ FeatureMaps(const Sizes& sizes, const Maps<T, Head<T>>& maps, const Head<T>* projection, int batch, int c1,
                         int quarter)
      : project(projection),
        height(sizes.height),
        width(sizes.width),
        top(sizes.top),
        left(sizes.left),
        padded_height(sizes.padded_height),
        padded_width(sizes.padded_width) {
    const int64_t pixels = static_cast<int64_t>(padded_height) * padded_width;
    x1 = maps.x1 + batch * pixels * c1;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      levels[i] = maps.levels[i] + batch * (pixels / (reduction(i) * reduction(i))) * quarter;
      scale_y[i] = sizes.scale_y[i];
      scale_x[i] = sizes.scale_x[i];
    }
  }
};

// What a lane has of the features of its row: of each level Q / 4 channels from Q / 4 * t on.
template <int Q>
struct Features {
  float values[4][Q / 4];
};

// The coarser levels at a pixel of the padded image.
template <typename T, int Q>
__device__ __forceinline__ void interpolate_levels(const FeatureMaps<T>& maps, int x, int y, Features<Q>& features) {
  constexpr int kRun = Q / 4;
#pragma unroll
  for (int level = 0; level < 3; ++level) {
    const int rows = maps.padded_height / reduction(level), columns = maps.padded_width / reduction(level);
    const Neighbours down = neighbours(y, maps.scale_y[level], rows);
    const Neighbours right = neighbours(x, maps.scale_x[level], columns);
    const Head<T>* own = maps.levels[level] + lane_id() % 4 * kRun;
    WeightedRuns<Head<T>, kRun> sum;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      const int row = corner / 2 ? down.high : down.low, column = corner % 2 ? right.high : right.low;
      const float weight = (corner / 2 ? down.fraction : 1 - down.fraction) *
                           (corner % 2 ? right.fraction : 1 - right.fraction);
      sum.add(own + static_cast<unsigned>(row * columns + column) * Q, weight);
    }
    sum.get(features.values[level + 1]);
  }
}

// Adds weight * unit feature at a pixel of the image for each row; outside of the image there is none.
template <typename T, int C1, int Q>
__device__ __forceinline__ void add_features(const FeatureMaps<T>& maps, int x, int y, float weight,
                                             Features<Q>& sum) {
  using H = Head<T>;
  constexpr int kRun = Q / 4, kOwn = C1 / 4;
  const bool inside = x >= 0 && x < maps.width && y >= 0 && y < maps.height;
  const int padded_x = inside ? x + maps.left : 0, padded_y = inside ? y + maps.top : 0;
  float own[kOwn], inputs[4] = {}, nothing[4] = {};
  load_run<T, kOwn>(maps.x1 + static_cast<unsigned>(padded_y * maps.padded_width + padded_x) * C1 +
                        lane_id() % 4 * kOwn, own);
#pragma unroll
  for (int c = 0; c < kOwn; ++c) inputs[c] = own[c];
  Features<Q> features;
  interpolate_levels<T, Q>(maps, padded_x, padded_y, features);
  const RowTile<H> tile = tile_of<H>(inputs, nothing);
#pragma unroll
  for (int n = 0; n < Q / 8; ++n) {
    Sums projected = {};
    multiply(projected, tile, load_weights(maps.project, n));
#pragma unroll
    for (int i = 0; i < 2; ++i) features.values[0][2 * n + i] = selu(projected.values[i]);
  }
  float squares = 0;
#pragma unroll
  for (int i = 0; i < 4 * kRun; ++i) {
    squares += features.values[i / kRun][i % kRun] * features.values[i / kRun][i % kRun];
  }
  squares += __shfl_xor_sync(~0u, squares, 1);
  squares += __shfl_xor_sync(~0u, squares, 2);
  const float scale = (inside ? weight : 0.0f) / fmaxf(sqrtf(squares), 1e-12f);
#pragma unroll
  for (int i = 0; i < 4 * kRun; ++i) sum.values[i / kRun][i % kRun] += scale * features.values[i / kRun][i % kRun];
}

// Adds the bilinear sample of the unit feature map at a position for each row.
template <typename T, int C1, int Q>
__device__ __forceinline__ void add_sample(const FeatureMaps<T>& maps, float x, float y, Features<Q>& features) {
  // Beyond these limits no corner lies inside; written so that NaN fails.
  const bool near = x > -1.0f && y > -1.0f && x < static_cast<float>(maps.width) && y < static_cast<float>(maps.height);
  const float left = near ? floorf(x) : -2.0f, top = near ? floorf(y) : -2.0f;
  const float right = near ? x - left : 0.0f, down = near ? y - top : 0.0f;
#pragma unroll 1
  for (int corner = 0; corner < 4; ++corner) {
    const float weight = (corner % 2 ? right : 1 - right) * (corner / 2 ? down : 1 - down);
    add_features<T, C1, Q>(maps, static_cast<int>(left) + corner % 2, static_cast<int>(top) + corner / 2, weight,
                           features);
  }
}

// Tiles in shared memory, made by two warps of which one has rows g and the other one rows g + 8: four numbers of each
// row a tile, level after level.
template <typename H, int Q>
struct SharedTiles {
  static constexpr int kTiles = Q / 4, kElements = kTiles * 2 * 32 * 4;
  H* begin;

  __device__ __forceinline__ void store(const Features<Q>& features, int half) const {
    constexpr int kRun = Q / 4;
#pragma unroll
    for (int k = 0; k < kTiles; ++k) {
      float row[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) row[i] = features.values[(4 * k + i) / kRun][(4 * k + i) % kRun];
      store_run<H, 4>(begin + ((k * 2 + half) * 32 + lane_id()) * 4, row);
    }
  }

  __device__ __forceinline__ RowTile<H> load(int k) const {
    const H* row = begin + (k * 64 + lane_id()) * 4;
    RowTile<H> tile;
    if constexpr (sizeof(H) == 4) {
      load_run<float, 4>(row, *reinterpret_cast<float(*)[4]>(tile.values));
      load_run<float, 4>(row + 32 * 4, *reinterpret_cast<float(*)[4]>(tile.values + 4));
    } else {
      const uint2 parts[2] = {*reinterpret_cast<const uint2*>(row), *reinterpret_cast<const uint2*>(row + 32 * 4)};
      tile.words[0] = parts[0].x;
      tile.words[1] = parts[1].x;
      tile.words[2] = parts[0].y;
      tile.words[3] = parts[1].y;
    }
    return tile;
  }
};

}  // namespace aliked_cuda
