// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernels are given: sizes, weights and maps on the device. Maps are (batch, rows, columns, channels).
//
// | map        | size       | channels | type | what it is                                                         |
// |------------|------------|----------|------|--------------------------------------------------------------------|
// | image      | H, W       | 1 or 3   | u8   | as uploaded, grey or RGB                                           |
// | x1         | H', W'     | c1       | T    | first block's output; H', W' are H, W padded to multiples of 32    |
// | pooled[0]  | H'/2, W'/2 | c1       | T    | second block's input                                               |
// | pooled[1]  | H'/8, ...  | c2       | T    | third block's                                                      |
// | pooled[2]  | H'/32, ... | c3       | T    | fourth block's                                                     |
// | levels[i]  | of block i + 2 | D/4  | head | levels 2 to 4 of the feature map                                   |
// | shares[i]  | of block i + 1 | 8    | f32  | what levels 1 to 4 add to the score head's first layer             |
// | scores     | H, W       | 1        | f32  | the score map                                                      |
//
// T is the precision's type, "head" float16, or float32 where T is.
#pragma once

#include <cstdint>

#include "platform.cuh"

namespace aliked_cuda {

constexpr int kScoreWidth = 8;
constexpr int kRadius = 2;  // of non-maximum suppression and of the refinement
constexpr int kBins = 4096;  // of scores, 32 for each halving
// By how much levels 2, 3 and 4 are smaller than the first one; 0 is level 2.
__host__ __device__ constexpr int reduction(int level) { return 2 << 2 * level; }

// The sizes that tell the published models apart.
struct Model {
  int channels[4];  // of the four blocks
  int dim;          // of a descriptor, D
  int positions;    // of the descriptor head, M
  int quarter() const { return dim / 4; }
};

struct Sizes {
  int batch;
  int height, width, channels;      // of the images
  int padded_height, padded_width;  // multiples of 32
  int top, left;                    // where the image lies in what is padded
  int capacity;                     // most keypoints of an image, K
  float scale_y[3], scale_x[3];     // of upsampling levels 2 to 4, see bilinear.cuh
};

// What may differ from frame to frame without another plan; one for each image of a batch.
struct FrameParameters {
  float threshold;
  int max_keypoints;
  int grid_rows, grid_columns, max_per_cell;  // max_per_cell 0: no limit
  int has_mask;
  int own_slot;        // of the ring of descriptors, where this image's are kept
  int reference_slot;  // of the image that it is matched to; -1 for none
};

// The strongest first; what lies behind the count is not written.
struct Keypoint {
  float x, y, score, dispersity;
};

// The weights of a convolution whose normalisation is folded in, in tiles (see numeric.cuh).
template <typename T>
struct Convolution {
  const T* tiles;
  const float* bias;
};

// A convolution of the score head, its weights in two parts (see score.cu).
struct ScoreTiles {
  const __half *high, *low;
};
struct ScoreWeights {
  ScoreTiles wide, middle, last;
};

template <typename T, typename H>
struct WeightPointers {
  Convolution<T> block1[2];
  Convolution<T> block2[2];         // the second carries the block's downsampling as further inputs
  Convolution<T> block3_offsets[2], block4_offsets[2];
  Convolution<T> block3[2], block4[2];  // likewise
  const H* project[4];              // conv1 to conv4 of the aggregation
  const H* head[4];                 // what score_head.0 does to them
  ScoreWeights score;               // the score head behind that
  Convolution<H> offset_hidden;     // of the descriptor head
  const float* offset_out;          // (2M, 2M), outputs last
  const float* offset_out_bias;
  const H* sample;                  // sf_conv
  const H* aggregate;               // agg_weights, one for each position
};

// What detection needs; it knows nothing of the network's precision.
struct DetectionMaps {
  const uint8_t* image;
  const uint8_t* mask;   // (batch, H, W), 0 where nothing is wanted
  float* shares[4];
  float* scores;
  int* num_candidates;   // (batch)
  uint64_t* candidates;  // (batch, H * W): score and pixel of a maximum, see window.cuh
  int* histogram;        // (batch, kBins) of the candidates' scores
  int* num_selected;     // (batch)
  uint64_t* selected;    // (batch, selection_capacity()): the strongest candidates
  int64_t sort_capacity;
  uint64_t* sorted;      // (batch, sort_capacity) of the candidates, with a grid
  uint32_t* cells;       // (batch, sort_capacity)
  Keypoint* unsorted;    // (batch, K): the strongest, refined
  uint64_t* refined;     // (batch, K): their scores and places
  Keypoint* keypoints;   // (batch, K)
  int* counts;           // (batch)
  const FrameParameters* parameters;  // (batch)
};

// Descriptors of recent images, and the matches of each image of a batch to one of them.
struct MatchMaps {
  __half *ring_high, *ring_low;  // (slots, K, D), a descriptor is their sum
  int* ring_counts;              // (slots)
  uint64_t *best_of_row, *best_of_column;  // (batch, K), zeroed by describe()
  int* partners;                           // (batch, K): row of the reference, or -1
  float* similarities;                     // (batch, K)
  const FrameParameters* parameters;       // (batch)
};

template <typename T, typename H>
struct Maps {
  DetectionMaps detection;
  MatchMaps match;
  T *x1, *pooled[3];
  T* middle[2];  // of the deformable blocks, between their convolutions
  H* levels[3];
  float* partial_descriptors;  // (batch, tiles, splits, 16, D)
  int* tile_arrivals;          // (batch, tiles), zero between frames
  float* descriptors;          // (batch, K, D)
};

}  // namespace aliked_cuda
