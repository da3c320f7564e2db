// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "engine.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

namespace aliked_cpu {

namespace {

constexpr int kDivisor = 32;
constexpr int kReduction[3] = {2, 8, 32};

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Adds the time until its end to a stage.
class StageTimer {
 public:
  explicit StageTimer(double& total) : total_(total), start_(now_ms()) {}
  ~StageTimer() { total_ = now_ms() - start_; }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  double& total_;
  double start_;
};

// Neighbours of every position of `size` in a map of `coarse`, align_corners = True, rounded as torch rounds.
void fill_neighbours(int size, int coarse, std::vector<int32_t>& low, std::vector<int32_t>& high,
                     std::vector<float>& fraction) {
  low.resize(size);
  high.resize(size);
  fraction.resize(size);
  const float scale = static_cast<float>(coarse - 1) / static_cast<float>(size - 1);
  for (int i = 0; i < size; ++i) {
    const float position = scale * static_cast<float>(i);
    low[i] = std::min(static_cast<int32_t>(position), coarse - 1);
    high[i] = std::min(low[i] + 1, coarse - 1);
    fraction[i] = std::min(std::max(position - static_cast<float>(low[i]), 0.0f), 1.0f);
  }
}

}  // namespace

Engine::Engine(const Model& model, const float* weights, int64_t count, int threads, bool narrow,
               const Kernels& kernels)
    : kernels_(kernels), narrow_(narrow), weights_(model, weights, count, narrow), pool_(threads), scratch_(threads) {
  if (narrow && !kernels.product_bf16) {
    throw std::invalid_argument(std::string("bfloat16 needs instructions that ") + kernels.name + " lacks");
  }
}

void Engine::multiply(const Layer& layer, const Product& product) const {
  layer.narrow ? kernels_.product_bf16(product) : kernels_.product(product);
}

void Engine::prepare(int height, int width) {
  if (height == height_ && width == width_) return;
  height_ = width_ = 0;  // until everything below has its memory
  const int missing_h = (kDivisor - height % kDivisor) % kDivisor, missing_w = (kDivisor - width % kDivisor) % kDivisor;
  padded_height_ = height + missing_h;
  padded_width_ = width + missing_w;
  left_ = missing_w / 2;
  top_ = missing_h / 2;

  const Model& model = weights_.model;
  const int64_t pixels = static_cast<int64_t>(padded_height_) * padded_width_;
  x1_.resize(pixels * model.channels[0]);
  for (int i = 0; i < 3; ++i) {
    const int h = level_height_[i] = padded_height_ / kReduction[i];
    const int w = level_width_[i] = padded_width_ / kReduction[i];
    const int words = i == 0 ? weights_.block2[0].words(model.channels[0]) : model.channels[i];
    pooled_[i].resize(static_cast<int64_t>(h + 2) * (w + 2) * words);
    if (i > 0) {
      middle_[i - 1].resize(static_cast<int64_t>(h + 2) * (w + 2) * model.channels[i + 1]);
      last_[i - 1].resize(static_cast<int64_t>(h) * w * model.channels[i + 1]);
    }
    levels_[i].resize(static_cast<int64_t>(h) * w * model.quarter());
    shares_[i].resize(static_cast<int64_t>(h) * w * kScoreWidth);
    fill_neighbours(padded_height_, h, low_[i], high_[i], fraction_[i]);
    fill_neighbours(padded_width_, w, low_[i + 3], high_[i + 3], fraction_[i + 3]);
  }

  score_stride_ = 16 + (width + 15) / 16 * 16 + 16;
  scores_.resize((height + 4) * score_stride_);
  std::fill(scores_.data(), scores_.data() + scores_.size(), -1.0f);
  suppressed_.assign(static_cast<size_t>(height) * width, 0);
  suppressed_.shrink_to_fit();
  for (Buffer& buffer : scratch_) buffer.resize(0);
  height_ = height;
  width_ = width;
}

void Engine::score_image(const Image& image) {
  prepare(image.height, image.width);
  {
    StageTimer timer(stage_ms_[kBlock1]);
    block1(image);
  }
  {
    StageTimer timer(stage_ms_[kBlock2]);
    block2();
  }
  {
    StageTimer timer(stage_ms_[kBlock3]);
    deformable_block(weights_.block3, 1);
  }
  {
    StageTimer timer(stage_ms_[kBlock4]);
    deformable_block(weights_.block4, 2);
  }
  StageTimer timer(stage_ms_[kScoreHead]);
  score_head();
}

const std::vector<Keypoint>& Engine::detect(const Image& image, const Selection& selection) {
  score_image(image);
  StageTimer timer(stage_ms_[kDetection]);
  find_keypoints(image, selection);
  return keypoints_;
}

void Engine::score_map(const Image& image, float* out) {
  score_image(image);
  for (int y = 0; y < height_; ++y) {
    const float* row = scores_.data() + (y + 2) * score_stride_ + 16;
    std::copy(row, row + width_, out + static_cast<int64_t>(y) * width_);
  }
}

void Engine::describe(float* descriptors) {
  StageTimer timer(stage_ms_[kDescription]);
  const Model& model = weights_.model;
  DescribeMaps maps = {};
  maps.x1 = x1_.data();
  maps.channels = model.channels[0];
  maps.project = weights_.project_1_transposed.data();
  maps.quarter = model.quarter();
  for (int i = 0; i < 3; ++i) {
    maps.levels[i] = levels_[i].data();
    maps.level_width[i] = level_width_[i];
    maps.rows[i] = {low_[i].data(), high_[i].data(), fraction_[i].data()};
    maps.columns[i] = {low_[i + 3].data(), high_[i + 3].data(), fraction_[i + 3].data()};
  }
  maps.left = left_;
  maps.top = top_;
  maps.width = width_;
  maps.height = height_;
  maps.padded_width = padded_width_;
  constexpr int kBlock = 64;  // keypoints: enough that reading the weights costs little, few enough to stay in L2
  const int count = static_cast<int>(keypoints_.size());
  pool_.run((count + kBlock - 1) / kBlock, [&](int task, int thread) {
    const int first = task * kBlock;
    describe_block(maps, first, std::min(kBlock, count - first), descriptors + static_cast<int64_t>(first) * model.dim,
                   thread);
  });
}

float* Engine::scratch(int thread, int64_t count) {
  scratch_[thread].grow(count);
  return scratch_[thread].data();
}

}  // namespace aliked_cpu
