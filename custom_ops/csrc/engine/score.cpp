// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The score head in strips of rows: no map of it but the score map itself is ever stored.
#include <algorithm>

#include "engine.h"

namespace aliked_cpu {

namespace {

// Three rows of planes in a border of zeros, and a row of zeros for what lies outside the map.
class PlaneRing {
 public:
  PlaneRing(float* memory, int planes, int64_t plane_stride)
      : memory_(memory), row_(planes * plane_stride) {
    std::fill(memory, memory + 4 * row_, 0.0f);
  }
  static int64_t size(int planes, int64_t plane_stride) { return 4 * planes * plane_stride; }

  // The first pixel of the first plane, y >= -3.
  float* row(int y) const { return memory_ + (y + 3) % 3 * row_ + kPlanePadding; }
  const float* row_or_zeros(int y, int height) const {
    return y >= 0 && y < height ? row(y) : memory_ + 3 * row_ + kPlanePadding;
  }

 private:
  float* memory_;
  int64_t row_;
};

}  // namespace

void Engine::score_head() {
  // Larger strips than the encoder's: six rows of each are computed twice.
  const int parts = pool_.threads() * 2;
  const int rows = std::max(16, (height_ + parts - 1) / parts);
  pool_.run((height_ + rows - 1) / rows, [&](int task, int thread) {
    score_strip(task * rows, std::min((task + 1) * rows, height_), thread);
  });
}

// Rows [first, last) of the image's score map.
void Engine::score_strip(int first, int last, int thread) {
  const int width = padded_width_, height = padded_height_;
  const int64_t stride = width + 2 * kPlanePadding, upsampled_row = static_cast<int64_t>(kScoreWidth) * width;
  float* memory = scratch(thread, PlaneRing::size(kScoreWidth, stride) + 2 * PlaneRing::size(4, stride) +
                                      6 * upsampled_row + width);
  const PlaneRing wide(memory, kScoreWidth, stride);
  memory += PlaneRing::size(kScoreWidth, stride);
  const PlaneRing narrow(memory, 4, stride);
  memory += PlaneRing::size(4, stride);
  const PlaneRing narrower(memory, 4, stride);
  memory += PlaneRing::size(4, stride);
  float* upsampled = memory;  // for each level two rows of planes: even and odd rows of the level
  float* result = memory + 6 * upsampled_row;
  int upsampled_rows[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};

  const auto upsample = [&](int level, int row) -> const float* {
    float* out = upsampled + (2 * level + row % 2) * upsampled_row;
    if (upsampled_rows[level][row % 2] != row) {
      upsampled_rows[level][row % 2] = row;
      const Neighbours columns = {low_[level + 3].data(), high_[level + 3].data(), fraction_[level + 3].data()};
      kernels_.stretch(shares_[level].data() + static_cast<int64_t>(row) * kScoreWidth * level_width_[level],
                       level_width_[level], columns, width, out, width);
    }
    return out;
  };
  const auto combine = [&](int y) {
    ScoreRow row = {};
    row.channels = weights_.model.channels[0];
    row.x1 = x1_.data() + static_cast<int64_t>(y) * width * row.channels;
    row.project = weights_.project_1.data();
    row.quarter = weights_.model.quarter();
    row.head = weights_.head_1.data();
    for (int level = 0; level < 3; ++level) {
      row.upper[level] = upsample(level, low_[level][y]);
      row.lower[level] = upsample(level, high_[level][y]);
      row.fraction[level] = fraction_[level][y];
    }
    row.upsampled_plane_stride = width;
    row.planes = wide.row(y);
    row.plane_stride = stride;
    row.width = width;
    kernels_.score_row(row);
  };
  const auto plane_row = [&](const PlaneRing& ring, int y, int inputs, const Buffer& weights, float* out) {
    const PlaneConvRow row = {{ring.row_or_zeros(y - 1, height), ring.row(y), ring.row_or_zeros(y + 1, height)},
                              stride, inputs, weights.data(), out, stride, width};
    return row;
  };
  const auto exists = [&](int y) { return y >= 0 && y < height; };

  const int begin = first + top_, end = last + top_;  // rows of the padded image
  for (int y = begin - 3; y < end + 3; ++y) {
    if (exists(y)) combine(y);
    if (y - 1 >= begin - 2 && exists(y - 1)) {
      kernels_.plane_conv_selu(plane_row(wide, y - 1, kScoreWidth, weights_.score[0], narrow.row(y - 1)));
    }
    if (y - 2 >= begin - 1 && exists(y - 2)) {
      kernels_.plane_conv_selu(plane_row(narrow, y - 2, 4, weights_.score[1], narrower.row(y - 2)));
    }
    if (y - 3 >= begin) {
      kernels_.plane_conv_sigmoid(plane_row(narrower, y - 3, 4, weights_.score[2], result));
      float* row = scores_.data() + (y - 3 - top_ + 2) * score_stride_ + 16;
      std::copy(result + left_, result + left_ + width_, row);
    }
  }
}

}  // namespace aliked_cpu
