// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the tensors of a checkpoint, one behind the other, for the compiled engines.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace aliked_checkpoint {

// Hands out the blob's tensors one after the other.
class Reader {
 public:
  Reader(const float* blob, int64_t count) : next_(blob), left_(count) {}

  // Throws std::invalid_argument where there are not so many floats any more.
  const float* take(int64_t count) {
    if (count > left_) throw std::invalid_argument("the weights are shorter than the model needs");
    const float* tensor = next_;
    next_ += count;
    left_ -= count;
    return tensor;
  }

  // Throws std::invalid_argument where something is left over.
  void finish() const {
    if (left_ == 0) return;
    throw std::invalid_argument("the weights hold " + std::to_string(left_) + " floats more than the model");
  }

 private:
  const float* next_;
  int64_t left_;
};

// y = x * scale + shift
struct Affine {
  std::vector<double> scale, shift;
};

inline Affine read_batch_norm(Reader& reader, int channels) {
  constexpr double kEpsilon = 1e-5;
  const float* weight = reader.take(channels);
  const float* bias = reader.take(channels);
  const float* mean = reader.take(channels);
  const float* variance = reader.take(channels);
  Affine affine;
  for (int c = 0; c < channels; ++c) {
    affine.scale.push_back(weight[c] / std::sqrt(static_cast<double>(variance[c]) + kEpsilon));
    affine.shift.push_back(bias[c] - mean[c] * affine.scale[c]);
  }
  return affine;
}

}  // namespace aliked_checkpoint
