// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "weights.h"

#include <cstring>
#include <utility>

#include "../checkpoint.h"

namespace aliked_cpu {

namespace {

using aliked_checkpoint::Affine;
using aliked_checkpoint::Reader;
using aliked_checkpoint::read_batch_norm;

int round_up(int value, int step) { return (value + step - 1) / step * step; }

Layer make_layer(int outputs, int depth) {
  Layer layer;
  layer.outputs = round_up(outputs, kPanel);
  layer.depth = depth;
  layer.panels.resize(static_cast<int64_t>(layer.outputs) * depth);
  layer.bias.resize(layer.outputs);
  return layer;
}

// Writes (outputs, inputs, taps) weights of a checkpoint to depth first + tap * inputs + c.
void pack(Layer& layer, int first, const float* weights, int outputs, int inputs, int taps, const Affine* affine) {
  for (int o = 0; o < outputs; ++o) {
    const double scale = affine ? affine->scale[o] : 1.0;
    for (int c = 0; c < inputs; ++c) {
      for (int tap = 0; tap < taps; ++tap) {
        const int64_t k = first + tap * inputs + c;
        layer.panels.data()[(o / kPanel * static_cast<int64_t>(layer.depth) + k) * kPanel + o % kPanel] =
            static_cast<float>(weights[(static_cast<int64_t>(o) * inputs + c) * taps + tap] * scale);
      }
    }
  }
}

void set_bias(Layer& layer, const std::vector<double>& bias) {
  for (size_t o = 0; o < bias.size(); ++o) layer.bias.data()[o] = static_cast<float>(bias[o]);
}

Layer read_conv(Reader& reader, int outputs, int inputs, int taps, bool with_bias) {
  Layer layer = make_layer(outputs, inputs * taps);
  pack(layer, 0, reader.take(static_cast<int64_t>(outputs) * inputs * taps), outputs, inputs, taps, nullptr);
  if (with_bias) {
    const float* bias = reader.take(outputs);
    set_bias(layer, {bias, bias + outputs});
  }
  return layer;
}

// A 3x3 convolution, the normalisation behind it, and room for extra inputs.
Layer read_normalised(Reader& reader, int outputs, int inputs, int extra, Affine* normalisation = nullptr) {
  const float* weights = reader.take(static_cast<int64_t>(outputs) * inputs * 9);
  const Affine affine = read_batch_norm(reader, outputs);
  Layer layer = make_layer(outputs, 9 * inputs + extra);
  pack(layer, 0, weights, outputs, inputs, 9, &affine);
  set_bias(layer, affine.shift);
  if (normalisation) *normalisation = affine;
  return layer;
}

// A block's 1x1 convolution of its input joins its second convolution as further depth.
void read_downsample(Reader& reader, Layer& layer, int outputs, int inputs, const Affine& affine) {
  pack(layer, layer.depth - inputs, reader.take(static_cast<int64_t>(outputs) * inputs), outputs, inputs, 1, nullptr);
  const float* bias = reader.take(outputs);
  std::vector<double> sum(affine.shift);
  for (int o = 0; o < outputs; ++o) sum[o] += bias[o];
  set_bias(layer, sum);
}

void read_deformable_block(Reader& reader, DeformLayer (&block)[2], int inputs, int outputs) {
  constexpr int kOffsets = 18;
  Affine affine;
  block[0].offsets = read_conv(reader, kOffsets, inputs, 9, true);
  block[0].regular = read_normalised(reader, outputs, inputs, 0);
  block[1].offsets = read_conv(reader, kOffsets, outputs, 9, true);
  block[1].regular = read_normalised(reader, outputs, outputs, inputs, &affine);
  read_downsample(reader, block[1].regular, outputs, inputs, affine);
}

// (outputs, inputs, taps) to (inputs, taps, outputs).
Buffer read_reordered(Reader& reader, int outputs, int inputs, int taps) {
  const float* weights = reader.take(static_cast<int64_t>(outputs) * inputs * taps);
  Buffer reordered;
  reordered.resize(static_cast<int64_t>(outputs) * inputs * taps);
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs * taps; ++i) reordered.data()[i * outputs + o] = weights[o * inputs * taps + i];
  }
  return reordered;
}

// Rounds to nearest, ties to even.
uint16_t to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

void narrow_panels(Layer& layer) {
  Buffer narrow;
  const int64_t words = static_cast<int64_t>(layer.outputs) * layer.depth / 2;
  narrow.resize(words);
  for (int64_t word = 0; word < words; ++word) {
    const int64_t lane = word % kPanel, pair = word / kPanel;  // pairs of inputs follow each other across panels
    const float* first = layer.panels.data() + 2 * pair * kPanel + lane;
    const uint16_t both[2] = {to_bfloat16(first[0]), to_bfloat16(first[kPanel])};
    std::memcpy(narrow.data() + word, both, sizeof both);
  }
  layer.panels = std::move(narrow);
  layer.narrow = true;
}

}  // namespace

Weights::Weights(const Model& which, const float* blob, int64_t count, bool narrow) : model(which) {
  Reader reader(blob, count);
  const int* channels = model.channels;
  const int quarter = model.quarter(), dim = model.dim, positions = model.positions;
  block1[0] = read_normalised(reader, channels[0], 3, 0);
  block1[1] = read_normalised(reader, channels[0], channels[0], 0);
  Affine affine;
  block2[0] = read_normalised(reader, channels[1], channels[0], 0);
  block2[1] = read_normalised(reader, channels[1], channels[1], channels[0], &affine);
  read_downsample(reader, block2[1], channels[1], channels[0], affine);
  read_deformable_block(reader, block3, channels[1], channels[2]);
  read_deformable_block(reader, block4, channels[2], channels[3]);

  const float* first = reader.take(static_cast<int64_t>(quarter) * channels[0]);
  project_1.resize(quarter * channels[0]);
  project_1_transposed.resize(quarter * channels[0]);
  for (int o = 0; o < quarter; ++o) {
    for (int c = 0; c < channels[0]; ++c) {
      project_1.data()[o * channels[0] + c] = first[o * channels[0] + c];
      project_1_transposed.data()[c * quarter + o] = first[o * channels[0] + c];
    }
  }
  for (int level = 0; level < 3; ++level) project[level] = read_conv(reader, quarter, channels[level + 1], 1, false);

  const float* combine = reader.take(static_cast<int64_t>(kScoreWidth) * dim);  // (8, D)
  head_1.resize(quarter * kScoreWidth);
  for (int c = 0; c < quarter; ++c) {
    for (int j = 0; j < kScoreWidth; ++j) head_1.data()[c * kScoreWidth + j] = combine[j * dim + c];
  }
  for (int level = 0; level < 3; ++level) {
    head[level] = make_layer(kScoreWidth, quarter);
    for (int c = 0; c < quarter; ++c) {
      for (int j = 0; j < kScoreWidth; ++j) {
        head[level].panels.data()[c * kPanel + j] = combine[j * dim + (level + 1) * quarter + c];
      }
    }
  }
  score[0] = read_reordered(reader, 4, kScoreWidth, 9);
  score[1] = read_reordered(reader, 4, 4, 9);
  score[2] = read_reordered(reader, 1, 4, 9);

  offset_hidden = read_conv(reader, 2 * positions, dim, 9, true);
  offset_out = read_conv(reader, 2 * positions, 2 * positions, 1, true);
  sample = read_conv(reader, dim, dim, 1, false);
  const float* matrices = reader.take(static_cast<int64_t>(positions) * dim * dim);  // (M, C, D): inputs first
  for (int m = 0; m < positions; ++m) {
    Layer layer = make_layer(dim, dim);
    for (int c = 0; c < dim; ++c) {
      for (int o = 0; o < dim; ++o) {
        layer.panels.data()[(o / kPanel * static_cast<int64_t>(dim) + c) * kPanel + o % kPanel] =
            matrices[(static_cast<int64_t>(m) * dim + c) * dim + o];
      }
    }
    aggregate.push_back(std::move(layer));
  }
  if (narrow) {
    for (Layer* layer : {&block1[1], &block2[0], &block2[1], &block3[0].regular, &block3[1].regular,
                         &block4[0].regular, &block4[1].regular, &offset_hidden, &sample}) {
      narrow_panels(*layer);
    }
    for (Layer& layer : aggregate) narrow_panels(layer);
  }
  reader.finish();
}

}  // namespace aliked_cpu
