// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The steps of a frame, in their order. Each is queued on the launcher's stream and returns the launch's error.
#pragma once

#include "maps.h"
#include "numeric.cuh"

namespace aliked_cuda {

#define ALIKED_STEP(name)                                                          \
  template <typename T>                                                            \
  cudaError_t name(const Launcher& launcher, const Model& model, const Sizes& sizes, \
                   const WeightPointers<T, Head<T>>& weights, const Maps<T, Head<T>>& maps);

// Instantiates a step for all precisions, in the file that defines it.
#define ALIKED_STEP_OF(name, T)                                                                                   \
  template cudaError_t name<T>(const Launcher&, const Model&, const Sizes&, const WeightPointers<T, Head<T>>&, \
                               const Maps<T, Head<T>>&);
#define ALIKED_FOR_EACH_PRECISION(name) \
  ALIKED_STEP_OF(name, __half)          \
  ALIKED_STEP_OF(name, __nv_bfloat16)   \
  ALIKED_STEP_OF(name, float)

ALIKED_STEP(block1)
ALIKED_STEP(block2)
ALIKED_STEP(block3_first)
ALIKED_STEP(block3_second)
ALIKED_STEP(block4_first)
ALIKED_STEP(block4_second)
ALIKED_STEP(describe)

#undef ALIKED_STEP

cudaError_t score_head(const Launcher& launcher, const Sizes& sizes, const ScoreWeights& weights,
                       const DetectionMaps& maps);
cudaError_t find_maxima(const Launcher& launcher, const Sizes& sizes, const DetectionMaps& maps);
cudaError_t thin_cells(const Launcher& launcher, const Sizes& sizes, const DetectionMaps& maps);
cudaError_t select_keypoints(const Launcher& launcher, const Sizes& sizes, const DetectionMaps& maps);
// Elements that `sorted` and `cells` need for an image.
int64_t sort_capacity(const Sizes& sizes);
// Elements that `selected` has for an image: as many as are wanted, and some more of about the same score.
__host__ __device__ constexpr int selection_capacity(const Sizes& sizes) {
  return sizes.capacity + sizes.capacity / 2 + 1024;
}

cudaError_t match(const Launcher& launcher, const Sizes& sizes, int dim, const MatchMaps& maps);

// Blocks that share a tile of 16 keypoints in the descriptor head.
inline int describe_splits(const Model& model) { return model.positions / 8; }
inline int describe_tiles(const Sizes& sizes) { return (sizes.capacity + 15) / 16; }

}  // namespace aliked_cuda
