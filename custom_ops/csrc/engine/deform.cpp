// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The third and the fourth block: residual blocks of deformable convolutions.
#include <algorithm>

#include "engine.h"

namespace aliked_cpu {

namespace {

// Pixels whose columns a task gathers: few enough to stay in the cache, enough that reading the weights costs little.
constexpr int kBlock = 80;

}  // namespace

// Level 1 of the arrays is the third block, level 2 the fourth: two convolutions, the projection, the pooling.
void Engine::deformable_block(const DeformLayer (&layers)[2], int level) {
  const int inputs = weights_.model.channels[level], channels = weights_.model.channels[level + 1];
  const int width = level_width_[level], height = level_height_[level];
  Buffer &middle = middle_[level - 1], &last = last_[level - 1];
  deform_convolve(layers[0], level, {pooled_[level].data(), inputs}, {}, {middle.data(), channels, 1});
  deform_convolve(layers[1], level, {middle.data(), channels}, {pooled_[level].data(), inputs},
                  {last.data(), channels, 0});
  const auto row = [&](int y) { return last.data() + static_cast<int64_t>(y) * width * channels; };
  const int group = level == 1 ? 4 : 1;  // only the third block's output is pooled
  pool_.run(height / group, [&](int task, int) {
    for (int y = task * group; y < (task + 1) * group; ++y) project_level(level, row(y), y, channels);
    if (level != 1) return;
    const float* rows[4] = {row(4 * task), row(4 * task + 1), row(4 * task + 2), row(4 * task + 3)};
    kernels_.average_rows(rows, 4, width / 4, channels,
                          pooled_[2].data() + (static_cast<int64_t>(task + 1) * (level_width_[2] + 2) + 1) * channels);
  });
}

// One deformable convolution with SELU of a map in a border of zeros; residual: the block's input or nothing.
void Engine::deform_convolve(const DeformLayer& layer, int level, const BorderedMap& in, const BorderedMap& residual,
                             const OutputMap& out) {
  const int width = level_width_[level], height = level_height_[level];
  const int chunks = (width + kBlock - 1) / kBlock, chunk = (width + chunks - 1) / chunks;  // of one row
  const int per_thread = (height + pool_.threads() - 1) / pool_.threads();
  const int rows = chunks > 1 ? 1 : std::clamp(kBlock / width, 1, per_thread);
  pool_.run((height + rows - 1) / rows * chunks, [&](int task, int thread) {
    const int first_row = task / chunks * rows, first = task % chunks * chunk;
    deform_tile(layer, level, in, residual, out,
                {first_row, std::min(first_row + rows, height), first, std::min(chunk, width - first)}, thread);
  });
}

void Engine::deform_tile(const DeformLayer& layer, int level, const BorderedMap& in, const BorderedMap& residual,
                         const OutputMap& out, const Tile& tile, int thread) {
  const int width = level_width_[level];
  const int64_t pixels = static_cast<int64_t>(tile.last_row - tile.first_row) * tile.columns;
  const int columns_stride = 9 * in.channels, offset_stride = layer.offsets.outputs;
  float* offsets = scratch(thread, pixels * (offset_stride + columns_stride + out.channels + residual.channels));
  float* columns = offsets + pixels * offset_stride;
  float* results = columns + pixels * columns_stride;
  float* residuals = results + pixels * out.channels;
  for (int y = tile.first_row; y < tile.last_row; ++y) {
    const int64_t done = static_cast<int64_t>(y - tile.first_row) * tile.columns;
    gather_row(layer, level, in, y, tile, offsets + done * offset_stride, columns + done * columns_stride);
    const float* source = residual.pixel(width, y, tile.first_column);
    std::copy(source, source + static_cast<int64_t>(tile.columns) * residual.channels,
              residuals + done * residual.channels);
  }
  if (narrow_) {
    kernels_.narrow(columns, pixels * columns_stride, columns);
    kernels_.narrow(residuals, pixels * residual.channels, residuals);
  }
  const int words = layer.regular.words(columns_stride), residual_words = layer.regular.words(residual.channels);
  Product product = {};
  product.num_segments = 2;
  product.segments[0] = {columns, words, words};
  product.segments[1] = {residuals, residual_words, residual_words};
  product.weights = layer.regular.panels.data();
  product.bias = layer.regular.bias.data();
  product.outputs = out.channels;
  product.activation = Activation::kSelu;
  product.out = results;
  product.out_stride = out.channels;
  product.pixels = static_cast<int>(pixels);
  multiply(layer.regular, product);
  const int64_t out_row = static_cast<int64_t>(width + 2 * out.border) * out.channels;
  for (int y = tile.first_row; y < tile.last_row; ++y) {
    const float* source = results + static_cast<int64_t>(y - tile.first_row) * tile.columns * out.channels;
    std::copy(source, source + static_cast<int64_t>(tile.columns) * out.channels,
              out.data + (y + out.border) * out_row +
                  static_cast<int64_t>(tile.first_column + out.border) * out.channels);
  }
}

// Offsets and columns of one row of a tile.
void Engine::gather_row(const DeformLayer& layer, int level, const BorderedMap& in, int y, const Tile& tile,
                        float* offsets, float* columns) const {
  const int width = level_width_[level], height = level_height_[level];
  const int64_t in_row = static_cast<int64_t>(width + 2) * in.channels;
  const float* row = in.pixel(width, y, tile.first_column);
  const float* taps[3] = {row - in_row, row, row + in_row};
  convolve(layer.offsets, taps, in.channels, offsets, layer.offsets.outputs, false, tile.columns, {},
           Activation::kNone);
  DeformGather gather = {};
  gather.map = in.pixel(width, 0, 0);
  gather.row_stride = in_row;
  gather.height = height;
  gather.width = width;
  gather.channels = in.channels;
  gather.offsets = offsets;
  gather.offset_stride = layer.offsets.outputs;
  gather.limit = static_cast<float>(std::max(height, width)) / 4.0f;
  gather.y = y;
  gather.first_x = tile.first_column;
  gather.pixels = tile.columns;
  gather.out = columns;
  gather.out_stride = 9 * in.channels;
  kernels_.gather(gather);
}

}  // namespace aliked_cpu
