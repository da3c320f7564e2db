// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The four blocks. The first two run in strips of rows, so that the maps between their convolutions stay in the cache.
#include <algorithm>

#include "engine.h"

namespace aliked_cpu {

namespace {

constexpr int kTasksPerThread = 4;  // strips: few rows are computed twice, and the threads still end together

int strip_rows(int rows, int threads, int multiple) {
  const int parts = threads * kTasksPerThread;
  return ((rows + parts - 1) / parts + multiple - 1) / multiple * multiple;
}

// Rows of a map in a ring of three, each with a pixel of zeros on either side.
class RowRing {
 public:
  RowRing(float* memory, int width, int channels) : memory_(memory), channels_(channels), row_((width + 2) * channels) {
    std::fill(memory, memory + size(width, channels), 0.0f);
  }
  static int64_t size(int width, int channels) { return static_cast<int64_t>(4) * (width + 2) * channels; }

  // The first pixel of a row, y >= -3; the pixel before it is zero.
  float* row(int y) const { return memory_ + (y + 3) % 3 * row_ + channels_; }
  const float* zeros() const { return memory_ + 3 * row_ + channels_; }
  const float* row_or_zeros(int y, int height) const { return y >= 0 && y < height ? row(y) : zeros(); }

 private:
  float* memory_;
  int channels_;
  int64_t row_;
};

}  // namespace

// A 3x3 convolution of a row; each row pointer is its first pixel, with readable zeros around the row.
Product Engine::convolution(const Layer& layer, const float* const (&rows)[3], int channels, float* out,
                            int out_channels, int pixels) const {
  Product product = {};
  product.num_segments = 3;
  for (int i = 0; i < 3; ++i) product.segments[i] = {rows[i] - channels, channels, 3 * channels};
  product.weights = layer.panels.data();
  product.bias = layer.bias.data();
  product.outputs = out_channels;
  product.activation = Activation::kSelu;
  product.out = out;
  product.out_stride = out_channels;
  product.pixels = pixels;
  return product;
}

void Engine::block1(const Image& image) {
  const int rows = strip_rows(padded_height_, pool_.threads(), 2);
  pool_.run((padded_height_ + rows - 1) / rows, [&](int task, int thread) {
    block1_strip(image, task * rows, std::min((task + 1) * rows, padded_height_), thread);
  });
}

void Engine::load_row(const Image& image, int row, float* out) const {
  const int y = std::clamp(row - top_, 0, height_ - 1);
  kernels_.image_row({image.pixels + y * image.row_stride, image.column_stride, image.channel_stride, width_, left_,
                      padded_width_ - left_ - width_, out});
}

// Rows [first, last) of x1 and of the second block's input.
void Engine::block1_strip(const Image& image, int first, int last, int thread) {
  const int channels = weights_.model.channels[0], width = padded_width_, height = padded_height_;
  float* memory = scratch(thread, RowRing::size(width, 3) + 64 + RowRing::size(width, channels));
  const RowRing pixels(memory, width, 3);
  const RowRing hidden(memory + (RowRing::size(width, 3) + 15) / 16 * 16, width, channels);
  const int pooled_width = width / 2 + 2;
  for (int y = first - 2; y <= last + 1; ++y) {
    if (y >= 0 && y < height) load_row(image, y, pixels.row(y));
    const int middle = y - 1;
    if (middle < first - 1) continue;
    if (middle >= 0 && middle < height) {
      const float* rows[3] = {pixels.row_or_zeros(middle - 1, height), pixels.row(middle),
                              pixels.row_or_zeros(middle + 1, height)};
      kernels_.product(convolution(weights_.block1[0], rows, 3, hidden.row(middle), channels, width));
    }
    const int done = y - 2;
    if (done < first) continue;
    float* out = x1_.data() + static_cast<int64_t>(done) * width * channels;
    const float* rows[3] = {hidden.row_or_zeros(done - 1, height), hidden.row(done),
                            hidden.row_or_zeros(done + 1, height)};
    kernels_.product(convolution(weights_.block1[1], rows, channels, out, channels, width));
    if (done % 2 == 1) {
      const float* pair[2] = {out - static_cast<int64_t>(width) * channels, out};
      kernels_.average_rows(pair, 2, width / 2, channels,
                            pooled_[0].data() + (static_cast<int64_t>(done / 2 + 1) * pooled_width + 1) * channels);
    }
  }
}

void Engine::block2() {
  const int rows = strip_rows(level_height_[0], pool_.threads(), 4);
  pool_.run((level_height_[0] + rows - 1) / rows, [&](int task, int thread) {
    block2_strip(task * rows, std::min((task + 1) * rows, level_height_[0]), thread);
  });
}

// Rows [first, last) of level 2 and of the third block's input.
void Engine::block2_strip(int first, int last, int thread) {
  const int inputs = weights_.model.channels[0], channels = weights_.model.channels[1];
  const int width = level_width_[0], height = level_height_[0];
  const int64_t out_row = static_cast<int64_t>(width) * channels, in_row = static_cast<int64_t>(width + 2) * inputs;
  float* memory = scratch(thread, RowRing::size(width, channels) + 4 * out_row + 32);
  const RowRing hidden(memory, width, channels);
  float* outputs = memory + (RowRing::size(width, channels) + 15) / 16 * 16;  // four rows, to be averaged
  const auto input = [&](int y) { return pooled_[0].data() + (y + 1) * in_row + inputs; };
  for (int middle = first - 1; middle <= last; ++middle) {
    if (middle >= 0 && middle < height) {
      const float* rows[3] = {input(middle - 1), input(middle), input(middle + 1)};
      kernels_.product(convolution(weights_.block2[0], rows, inputs, hidden.row(middle), channels, width));
    }
    const int done = middle - 1;
    if (done < first) continue;
    const float* rows[3] = {hidden.row_or_zeros(done - 1, height), hidden.row(done),
                            hidden.row_or_zeros(done + 1, height)};
    float* out = outputs + done % 4 * out_row;
    Product product = convolution(weights_.block2[1], rows, channels, out, channels, width);
    product.segments[product.num_segments++] = {input(done), inputs, inputs};
    kernels_.product(product);
    project_level(0, out, done, channels, thread);
    if (done % 4 == 3) {
      const float* group[4] = {outputs, outputs + out_row, outputs + 2 * out_row, outputs + 3 * out_row};
      kernels_.average_rows(
          group, 4, width / 4, channels,
          pooled_[1].data() + (static_cast<int64_t>(done / 4 + 1) * (level_width_[1] + 2) + 1) * channels);
    }
  }
}

// A row of a coarser level of the feature map, and its share of the score head.
void Engine::project_level(int level, const float* row, int y, int channels, int) {
  const int width = level_width_[level], quarter = weights_.model.quarter();
  Product product = {};
  product.num_segments = 1;
  product.segments[0] = {row, channels, channels};
  product.weights = weights_.project[level].panels.data();
  product.outputs = quarter;
  product.activation = Activation::kSelu;
  product.out = levels_[level].data() + static_cast<int64_t>(y) * width * quarter;
  product.out_stride = quarter;
  product.pixels = width;
  kernels_.product(product);

  constexpr int kBlock = 64;
  alignas(64) float shares[kBlock * kScoreWidth];
  product.weights = weights_.head[level].panels.data();
  product.outputs = kScoreWidth;
  product.activation = Activation::kNone;
  product.segments[0].pixel_stride = product.segments[0].depth = quarter;
  for (int x = 0; x < width; x += kBlock) {
    product.segments[0].data = levels_[level].data() + (static_cast<int64_t>(y) * width + x) * quarter;
    product.out = shares;
    product.out_stride = kScoreWidth;
    product.pixels = std::min(kBlock, width - x);
    kernels_.product(product);
    kernels_.to_planes(shares, kScoreWidth, product.pixels,
                       shares_[level].data() + static_cast<int64_t>(y) * kScoreWidth * width + x, width);
  }
}

// The third block (level 1 of the arrays) or the fourth (level 2): its two convolutions, its projection, the pooling.
void Engine::deformable_block(const DeformLayer (&layers)[2], int level) {
  const int inputs = weights_.model.channels[level], channels = weights_.model.channels[level + 1];
  const int width = level_width_[level], height = level_height_[level];
  middle_.resize(static_cast<int64_t>(width + 2) * (height + 2) * channels);
  last_.resize(static_cast<int64_t>(width) * height * channels);
  deform_convolve(layers[0], level, pooled_[level], inputs, nullptr, 0, middle_.data(), channels, true);
  deform_convolve(layers[1], level, middle_, channels, &pooled_[level], inputs, last_.data(), channels, false);
  const auto row = [&](int y) { return last_.data() + static_cast<int64_t>(y) * width * channels; };
  const int group = level == 1 ? 4 : 1;  // only the third block's output is pooled
  pool_.run(height / group, [&](int task, int thread) {
    for (int y = task * group; y < (task + 1) * group; ++y) project_level(level, row(y), y, channels, thread);
    if (level != 1) return;
    const float* rows[4] = {row(4 * task), row(4 * task + 1), row(4 * task + 2), row(4 * task + 3)};
    kernels_.average_rows(rows, 4, width / 4, channels,
                          pooled_[2].data() + (static_cast<int64_t>(task + 1) * (level_width_[2] + 2) + 1) * channels);
  });
}

// One deformable convolution with SELU of a map in a border of zeros. A task gathers the columns of about kBlock
// pixels: few enough to stay in the cache, enough that reading the weights costs little.
void Engine::deform_convolve(const DeformLayer& layer, int level, const Buffer& in, int channels,
                             const Buffer* residual, int residual_channels, float* out, int out_channels,
                             bool bordered_out) {
  constexpr int kBlock = 80;
  const int width = level_width_[level], height = level_height_[level];
  const int chunks = (width + kBlock - 1) / kBlock, chunk = (width + chunks - 1) / chunks;  // of one row
  const int per_thread = (height + pool_.threads() - 1) / pool_.threads();
  const int rows = chunks > 1 ? 1 : std::clamp(kBlock / width, 1, per_thread);
  const int border = bordered_out ? 1 : 0;
  const int64_t in_row = static_cast<int64_t>(width + 2) * channels;
  const int64_t out_row = static_cast<int64_t>(width + 2 * border) * out_channels;
  const int64_t columns_stride = 9 * channels, offset_stride = layer.offsets.outputs;
  pool_.run((height + rows - 1) / rows * chunks, [&](int task, int thread) {
    const int first_row = task / chunks * rows, last_row = std::min(first_row + rows, height);
    const int first = task % chunks * chunk, count = std::min(chunk, width - first);
    const int pixels = (last_row - first_row) * count;
    const int residual_depth = residual ? residual_channels : 0;
    float* offsets = scratch(thread, pixels * (offset_stride + columns_stride + out_channels + residual_depth) + 64);
    float* columns = offsets + (pixels * offset_stride + 15) / 16 * 16;
    float* results = columns + pixels * columns_stride;
    float* residuals = results + static_cast<int64_t>(pixels) * out_channels;
    for (int y = first_row; y < last_row; ++y) {
      const int64_t done = static_cast<int64_t>(y - first_row) * count;
      const float* row = in.data() + (y + 1) * in_row + static_cast<int64_t>(first + 1) * channels;
      const float* taps[3] = {row - in_row, row, row + in_row};
      Product product = convolution(layer.offsets, taps, channels, offsets + done * offset_stride,
                                    static_cast<int>(offset_stride), count);
      product.activation = Activation::kNone;
      kernels_.product(product);
      DeformGather gather = {};
      gather.map = in.data() + in_row + channels;
      gather.row_stride = in_row;
      gather.height = height;
      gather.width = width;
      gather.channels = channels;
      gather.offsets = offsets + done * offset_stride;
      gather.offset_stride = static_cast<int>(offset_stride);
      gather.limit = static_cast<float>(std::max(height, width)) / 4.0f;
      gather.y = y;
      gather.first_x = first;
      gather.pixels = count;
      gather.out = columns + done * columns_stride;
      gather.out_stride = columns_stride;
      kernels_.gather(gather);
      if (residual) {
        const float* source = residual->data() + (static_cast<int64_t>(y + 1) * (width + 2) + first + 1) * residual_channels;
        std::copy(source, source + static_cast<int64_t>(count) * residual_channels, residuals + done * residual_channels);
      }
    }
    Product product = {};
    product.num_segments = residual ? 2 : 1;
    product.segments[0] = {columns, columns_stride, static_cast<int>(columns_stride)};
    product.segments[1] = {residuals, residual_channels, residual_channels};
    product.weights = layer.regular.panels.data();
    product.bias = layer.regular.bias.data();
    product.outputs = out_channels;
    product.activation = Activation::kSelu;
    product.out = results;
    product.out_stride = out_channels;
    product.pixels = pixels;
    kernels_.product(product);
    for (int y = first_row; y < last_row; ++y) {
      const float* source = results + static_cast<int64_t>(y - first_row) * count * out_channels;
      std::copy(source, source + static_cast<int64_t>(count) * out_channels,
                out + (y + border) * out_row + static_cast<int64_t>(first + border) * out_channels);
    }
  });
}

}  // namespace aliked_cpu
