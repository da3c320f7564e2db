// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Differentiable keypoint detection (DKD, arXiv 2112.02906), exactly as the readable network does it.
//
// The suppression has three rounds. What happens at a pixel depends only on pixels that score at least as much, so the
// later rounds look at no pixel below the weakest score that can still be among the strongest max_keypoints.
#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>

#include "engine.h"

namespace aliked_cpu {

namespace {

constexpr int kRadius = 2;
constexpr int kWindow = 2 * kRadius + 1;
constexpr float kTemperature = 0.1f;

bool varies(const Image& image, int x, int y, int64_t channel_offset) {
  const uint8_t* window = image.pixels + (y - kRadius) * image.row_stride + (x - kRadius) * image.column_stride +
                          channel_offset;
  for (int i = 0; i < kWindow; ++i) {
    for (int j = 0; j < kWindow; ++j) {
      if (window[i * image.row_stride + j * image.column_stride] != *window) return true;
    }
  }
  return false;
}

}  // namespace

float Engine::score(int pixel) const {
  return scores_.data()[(pixel / width_ + 2) * score_stride_ + 16 + pixel % width_];
}

void Engine::find_keypoints(const Image& image, const Selection& selection) {
  const float threshold = selection.threshold;
  collect_window_maxima(threshold);
  const auto valid = [&](int32_t pixel) { return is_keypoint(image, selection, pixel); };
  const auto k = static_cast<size_t>(selection.max_keypoints);

  // The k-th strongest keypoint of the first round bounds those of all rounds from below. So it does with a limit for
  // each cell: another keypoint never makes a cell's strongest weaker.
  std::vector<int32_t> first_round;
  std::copy_if(maxima_.begin(), maxima_.end(), std::back_inserter(first_round), valid);
  if (selection.max_per_cell > 0) thin_cells(selection, first_round);
  float cutoff = threshold;
  if (first_round.size() >= k) {
    std::vector<float> first_scores(first_round.size());
    std::transform(first_round.begin(), first_round.end(), first_scores.begin(), [&](int32_t p) { return score(p); });
    std::nth_element(first_scores.begin(), first_scores.begin() + (k - 1), first_scores.end(), std::greater<float>());
    cutoff = std::max(cutoff, first_scores[k - 1]);
  }
  maxima_.erase(std::remove_if(maxima_.begin(), maxima_.end(), [&](int32_t pixel) { return score(pixel) < cutoff; }),
                maxima_.end());
  collect_later_maxima(cutoff, threshold);

  maxima_.erase(std::remove_if(maxima_.begin(), maxima_.end(), [&](int32_t pixel) { return !valid(pixel); }),
                maxima_.end());
  if (selection.max_per_cell > 0) {
    thin_cells(selection, maxima_);
  } else {
    sort_by_score(maxima_);
  }
  if (maxima_.size() > k) maxima_.resize(k);
  keypoints_.resize(maxima_.size());
  std::transform(maxima_.begin(), maxima_.end(), keypoints_.begin(), [&](int32_t pixel) { return refine(pixel); });
  std::stable_sort(keypoints_.begin(), keypoints_.end(),
                   [](const Keypoint& a, const Keypoint& b) { return a.score > b.score; });
}

// Strongest first, equals in raster order.
void Engine::sort_by_score(std::vector<int32_t>& pixels) const {
  std::sort(pixels.begin(), pixels.end(), [&](int32_t a, int32_t b) {
    const float score_a = score(a), score_b = score(b);
    return score_a != score_b ? score_a > score_b : a < b;
  });
}

// Keeps the strongest keypoints of each cell of the grid, strongest first.
void Engine::thin_cells(const Selection& selection, std::vector<int32_t>& pixels) {
  sort_by_score(pixels);
  cell_counts_.assign(static_cast<size_t>(selection.grid_rows) * selection.grid_columns, 0);
  size_t kept = 0;
  for (const int32_t pixel : pixels) {
    const int refined = refined_pixel(pixel);
    const int64_t row = static_cast<int64_t>(refined / width_) * selection.grid_rows / height_;
    const int64_t column = static_cast<int64_t>(refined % width_) * selection.grid_columns / width_;
    if (++cell_counts_[row * selection.grid_columns + column] <= selection.max_per_cell) pixels[kept++] = pixel;
  }
  pixels.resize(kept);
}

// First round: pixels above the threshold that are the maximum of their window, in raster order.
void Engine::collect_window_maxima(float threshold) {
  constexpr int kRows = 32;
  const int strips = (height_ + kRows - 1) / kRows;
  strip_maxima_.resize(strips);
  pool_.run(strips, [&](int task, int thread) {
    std::vector<int32_t>& pixels = strip_maxima_[task];
    pixels.clear();
    float* memory = scratch(thread, 2 * static_cast<int64_t>(score_stride_) + 64);
    int32_t* found = reinterpret_cast<int32_t*>(memory + score_stride_ + 32);
    for (int y = task * kRows; y < std::min((task + 1) * kRows, height_); ++y) {
      const float* row = scores_.data() + (y + 2) * score_stride_ + 16;
      const int count = kernels_.window_maxima(row, score_stride_, width_, threshold, memory, found);
      for (int i = 0; i < count; ++i) pixels.push_back(y * width_ + found[i]);
    }
  });
  maxima_.clear();
  for (const std::vector<int32_t>& pixels : strip_maxima_) maxima_.insert(maxima_.end(), pixels.begin(), pixels.end());
}

bool Engine::is_keypoint(const Image& image, const Selection& selection, int pixel) const {
  return is_textured_peak(image, pixel) && (!selection.mask || selection.mask[refined_pixel(pixel)] != 0);
}

// A maximum counts away from the border, where its window varies in score, and where the image varies in any channel.
bool Engine::is_textured_peak(const Image& image, int pixel) const {
  const int x = pixel % width_, y = pixel / width_;
  if (x < kRadius || y < kRadius || x >= width_ - kRadius || y >= height_ - kRadius) return false;
  const float* center = scores_.data() + (y + 2) * score_stride_ + 16 + x;
  float lowest = *center;
  for (int i = -kRadius; i <= kRadius; ++i) {
    for (int j = -kRadius; j <= kRadius; ++j) lowest = std::min(lowest, center[i * score_stride_ + j]);
  }
  if (!(*center > lowest)) return false;
  const int channels = image.channel_stride == 0 ? 1 : 3;
  for (int c = 0; c < channels; ++c) {
    if (varies(image, x, y, c * image.channel_stride)) return true;
  }
  return false;
}

// Rounds two and three: maxima of what no window of an earlier maximum covers.
void Engine::collect_later_maxima(float cutoff, float threshold) {
  mark_windows(maxima_, 0, 1);
  remaining_.clear();
  std::vector<int32_t> found(width_ + 16);
  for (int y = 0; y < height_; ++y) {
    const int count = kernels_.unsuppressed(scores_.data() + (y + 2) * score_stride_ + 16,
                                            suppressed_.data() + static_cast<int64_t>(y) * width_, width_, cutoff,
                                            found.data());
    for (int i = 0; i < count; ++i) {
      const int32_t pixel = y * width_ + found[i];
      if (score(pixel) > threshold) remaining_.push_back(pixel);
    }
  }
  for (int round = 0; round < 2; ++round) {
    const size_t known = maxima_.size();
    for (const int32_t pixel : remaining_) {
      if (!suppressed_[pixel] && is_maximum_of_remaining(pixel)) maxima_.push_back(pixel);
    }
    mark_windows(maxima_, known, 1);
  }
  mark_windows(maxima_, 0, 0);
}

void Engine::mark_windows(const std::vector<int32_t>& pixels, size_t first, uint8_t value) {
  for (size_t i = first; i < pixels.size(); ++i) {
    const int x = pixels[i] % width_, y = pixels[i] / width_;
    const int left = std::max(x - kRadius, 0), right = std::min(x + kRadius, width_ - 1);
    for (int row = std::max(y - kRadius, 0); row <= std::min(y + kRadius, height_ - 1); ++row) {
      std::fill_n(suppressed_.begin() + static_cast<int64_t>(row) * width_ + left, right - left + 1, value);
    }
  }
}

bool Engine::is_maximum_of_remaining(int pixel) const {
  const int x = pixel % width_, y = pixel / width_;
  const float own = score(pixel);
  for (int row = std::max(y - kRadius, 0); row <= std::min(y + kRadius, height_ - 1); ++row) {
    for (int column = std::max(x - kRadius, 0); column <= std::min(x + kRadius, width_ - 1); ++column) {
      const int other = row * width_ + column;
      if (!suppressed_[other] && score(other) > own) return false;
    }
  }
  return true;
}

// ALIKE's soft arg-max over the window and the spread of its peak.
Keypoint Engine::refine(int pixel) const {
  const int x = pixel % width_, y = pixel / width_;
  const float* center = scores_.data() + (y + 2) * score_stride_ + 16 + x;
  float peak = *center;
  for (int i = -kRadius; i <= kRadius; ++i) {
    for (int j = -kRadius; j <= kRadius; ++j) peak = std::max(peak, center[i * score_stride_ + j]);
  }
  float weights[kWindow][kWindow];
  float sum = 0, shift_x = 0, shift_y = 0;
  for (int i = 0; i < kWindow; ++i) {
    for (int j = 0; j < kWindow; ++j) {
      const float value = center[(i - kRadius) * score_stride_ + j - kRadius];
      const float weight = weights[i][j] = std::exp((value - peak) / kTemperature);
      sum += weight;
      shift_x += weight * static_cast<float>(j - kRadius);
      shift_y += weight * static_cast<float>(i - kRadius);
    }
  }
  shift_x /= sum;
  shift_y /= sum;
  float dispersity = 0;
  for (int i = 0; i < kWindow; ++i) {
    for (int j = 0; j < kWindow; ++j) {
      const float dx = (static_cast<float>(j - kRadius) - shift_x) / kRadius;
      const float dy = (static_cast<float>(i - kRadius) - shift_y) / kRadius;
      dispersity += weights[i][j] / sum * (dx * dx + dy * dy);
    }
  }
  const float refined_x = static_cast<float>(x) + shift_x, refined_y = static_cast<float>(y) + shift_y;
  return {refined_x, refined_y, score_at(refined_x, refined_y), dispersity};
}

// The pixel that a maximum lies in after its refinement, which is where masks and cells look for it.
int Engine::refined_pixel(int pixel) const {
  const Keypoint keypoint = refine(pixel);
  return static_cast<int>(keypoint.y + 0.5f) * width_ + static_cast<int>(keypoint.x + 0.5f);
}

// Bilinear; a refined keypoint lies within its window and so within the map.
float Engine::score_at(float x, float y) const {
  const int column = static_cast<int>(x), row = static_cast<int>(y);
  const float right = x - static_cast<float>(column), down = y - static_cast<float>(row);
  const float* upper = scores_.data() + (row + 2) * score_stride_ + 16 + column;
  const float* lower = upper + score_stride_;
  const float above = upper[0] * (1 - right) + (right > 0 ? upper[1] * right : 0.0f);
  if (!(down > 0)) return above;
  return above * (1 - down) + (lower[0] * (1 - right) + (right > 0 ? lower[1] * right : 0.0f)) * down;
}

}  // namespace aliked_cpu
