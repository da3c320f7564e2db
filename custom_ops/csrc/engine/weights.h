// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The network's weights as the kernels want them: normalisation folded in, outputs in panels of 16.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "kernels.h"

namespace aliked_cpu {

// The sizes that tell the published models apart.
struct Model {
  int channels[4];  // of the four blocks
  int dim;          // of a descriptor, D
  int positions;    // of the descriptor head, M
  int quarter() const { return dim / 4; }
};

// Weights of a product: panels (outputs / 16, depth, 16) and a bias, both padded by zeros. A narrow layer's panels are
// bfloat16, two inputs' weights to a word: (outputs / 16, depth / 2, 16, 2).
struct Layer {
  Buffer panels, bias;
  int outputs = 0;  // padded
  int depth = 0;
  bool narrow = false;
  // Words of four bytes that hold this many of its inputs.
  int words(int inputs) const { return narrow ? inputs / 2 : inputs; }
};

struct DeformLayer {
  Layer offsets, regular;
};

struct Weights {
  Model model;
  Layer block1[2];
  Layer block2[2];       // the second carries the block's downsampling as further depth
  DeformLayer block3[2], block4[2];  // likewise
  Layer project[3];      // conv2, conv3, conv4 of the aggregation
  Layer head[3];         // what score_head.0 does to them
  Buffer project_1;      // conv1: (D / 4, channels), and transposed
  Buffer project_1_transposed;
  Buffer head_1;         // (D / 4, 8)
  Buffer score[3];       // score_head.2, .4, .6: (inputs, 3, 3, outputs)
  Layer offset_hidden, offset_out;  // the descriptor head's offset_conv
  Layer sample;                     // sf_conv
  std::vector<Layer> aggregate;     // agg_weights, one for each position

  // Reads the checkpoint's tensors, one behind the other in the order of the constructor's body.
  // Throws std::invalid_argument when their number of floats does not fit the model.
  // narrow: bfloat16 for the layers whose inputs the engine rounds; the score head, the offsets of deformable
  // convolutions and the aggregation stay in float32.
  Weights(const Model& model, const float* blob, int64_t count, bool narrow);
};

}  // namespace aliked_cpu
