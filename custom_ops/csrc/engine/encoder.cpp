// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The first two blocks, which run in strips of rows, so that the maps between their convolutions stay in the cache.
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
// residual: further inputs of each pixel, where the layer has them.
void Engine::convolve(const Layer& layer, const float* const (&rows)[3], int channels, float* out, int out_channels,
                      bool narrow_out, int pixels, const Segment& residual, Activation activation) const {
  const int words = layer.words(channels);
  Product product = {};
  product.num_segments = 3;
  for (int i = 0; i < 3; ++i) product.segments[i] = {rows[i] - words, words, 3 * words};
  if (residual.data) product.segments[product.num_segments++] = residual;
  product.weights = layer.panels.data();
  product.bias = layer.bias.data();
  product.outputs = out_channels;
  product.activation = activation;
  product.narrow_output = narrow_out;
  product.out = out;
  product.out_stride = narrow_out ? out_channels / 2 : out_channels;
  product.pixels = pixels;
  multiply(layer, product);
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
  const int hidden_words = weights_.block1[1].words(channels), pooled_words = weights_.block2[0].words(channels);
  const int64_t pixels_size = (RowRing::size(width, 3) + 15) / 16 * 16;
  const int64_t hidden_size = RowRing::size(width, hidden_words);
  float* memory = scratch(thread, pixels_size + hidden_size + static_cast<int64_t>(width / 2) * channels);
  const RowRing pixels(memory, width, 3), hidden(memory + pixels_size, width, hidden_words);
  float* average = memory + pixels_size + hidden_size;  // of two rows
  for (int y = first - 2; y <= last + 1; ++y) {
    if (y >= 0 && y < height) load_row(image, y, pixels.row(y));
    const int middle = y - 1;
    if (middle < first - 1) continue;
    if (middle >= 0 && middle < height) {
      const float* rows[3] = {pixels.row_or_zeros(middle - 1, height), pixels.row(middle),
                              pixels.row_or_zeros(middle + 1, height)};
      convolve(weights_.block1[0], rows, 3, hidden.row(middle), channels, narrow_, width);
    }
    const int done = y - 2;
    if (done < first) continue;
    float* out = x1_.data() + static_cast<int64_t>(done) * width * channels;
    const float* rows[3] = {hidden.row_or_zeros(done - 1, height), hidden.row(done),
                            hidden.row_or_zeros(done + 1, height)};
    convolve(weights_.block1[1], rows, channels, out, channels, false, width);
    if (done % 2 == 0) continue;
    const float* pair[2] = {out - static_cast<int64_t>(width) * channels, out};
    float* pooled = pooled_[0].data() + (static_cast<int64_t>(done / 2 + 1) * (width / 2 + 2) + 1) * pooled_words;
    kernels_.average_rows(pair, 2, width / 2, channels, narrow_ ? average : pooled);
    if (narrow_) kernels_.narrow(average, static_cast<int64_t>(width / 2) * channels, pooled);
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
  const Layer(&layers)[2] = weights_.block2;
  const int inputs = weights_.model.channels[0], channels = weights_.model.channels[1];
  const int input_words = layers[0].words(inputs), hidden_words = layers[1].words(channels);
  const int width = level_width_[0], height = level_height_[0];
  const int64_t out_row = static_cast<int64_t>(width) * channels;
  const int64_t hidden_size = (RowRing::size(width, hidden_words) + 15) / 16 * 16;
  float* memory = scratch(thread, hidden_size + 4 * out_row);
  const RowRing hidden(memory, width, hidden_words);
  float* outputs = memory + hidden_size;  // four rows, to be averaged
  const auto input = [&](int y) {
    return pooled_[0].data() + (static_cast<int64_t>(y + 1) * (width + 2) + 1) * input_words;
  };
  for (int middle = first - 1; middle <= last; ++middle) {
    if (middle >= 0 && middle < height) {
      const float* rows[3] = {input(middle - 1), input(middle), input(middle + 1)};
      convolve(layers[0], rows, inputs, hidden.row(middle), channels, narrow_, width);
    }
    const int done = middle - 1;
    if (done < first) continue;
    const float* rows[3] = {hidden.row_or_zeros(done - 1, height), hidden.row(done),
                            hidden.row_or_zeros(done + 1, height)};
    float* out = outputs + done % 4 * out_row;
    convolve(layers[1], rows, channels, out, channels, false, width, {input(done), input_words, input_words});
    project_level(0, out, done, channels);
    if (done % 4 != 3) continue;
    const float* group[4] = {outputs, outputs + out_row, outputs + 2 * out_row, outputs + 3 * out_row};
    kernels_.average_rows(
        group, 4, width / 4, channels,
        pooled_[1].data() + (static_cast<int64_t>(done / 4 + 1) * (level_width_[1] + 2) + 1) * channels);
  }
}

// A row of a coarser level of the feature map, and its share of the score head.
void Engine::project_level(int level, const float* row, int y, int channels) {
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

}  // namespace aliked_cpu
