// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What follows the end of a block: its level of the feature map, and that level's share of the score head.
#pragma once

#include "maps.h"
#include "numeric.cuh"

namespace aliked_cuda {

// SELU(project * x) of 16 pixels whose x a lane holds of its rows g and g + 8, and head * that, added up.
// store_level(half, values) takes Q / 4 channels from channel Q / 4 * t on of row g + 8 half.
template <typename H, int C, int Q, typename F>
__device__ __forceinline__ Sums project(const float (&row)[C / 4], const float (&row_8)[C / 4], const H* projection,
                                        const H* head, const F& store_level) {
  constexpr int kColumns = Q / 8, kTiles = input_tiles(C);
  Sums projected[kColumns] = {};
#pragma unroll
  for (int k = 0; k < kTiles; ++k) {
    float inputs[2][4] = {};
#pragma unroll
    for (int i = 0; i < 4 && 4 * k + i < C / 4; ++i) {
      inputs[0][i] = row[4 * k + i];
      inputs[1][i] = row_8[4 * k + i];
    }
    const RowTile<H> tile = tile_of<H>(inputs[0], inputs[1]);
#pragma unroll
    for (int n = 0; n < kColumns; ++n) multiply(projected[n], tile, load_weights(projection, k * kColumns + n));
  }
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) projected[n].values[i] = selu(projected[n].values[i]);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float values[2 * kColumns];
#pragma unroll
    for (int i = 0; i < 2 * kColumns; ++i) values[i] = projected[i / 2].values[2 * half + i % 2];
    store_level(half, values);
  }
  Sums share = {};
#pragma unroll
  for (int k = 0; k < Q / 16; ++k) {
    multiply(share, tile_of<H>(projected[2 * k], projected[2 * k + 1]), load_weights(head, k));
  }
  return share;
}

// Writes a lane's numbers of a share: of the pixel of row g + 8 half those of 2t and 2t + 1.
__device__ __forceinline__ void store_share(float* shares, int64_t pixel, const Sums& share, int half) {
  const float two[2] = {share.values[2 * half], share.values[2 * half + 1]};
  store_run<float, 2>(shares + pixel * kScoreWidth + lane_id() % 4 * 2, two);
}

}  // namespace aliked_cuda
