// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The sparse deformable descriptor head (SDDH) for a block of keypoints.
#include <algorithm>

#include "engine.h"

namespace aliked_cpu {

void Engine::describe_block(const DescribeMaps& maps, int first, int count, float* out, int thread) {
  const Model& model = weights_.model;
  const int dim = model.dim, positions = model.positions, offsets_count = 2 * positions;
  const int64_t features_size = static_cast<int64_t>(count) * 9 * dim;
  float* patches = scratch(thread, features_size + static_cast<int64_t>(count) * (2 * offsets_count + 2 + 18));
  float* hidden = patches + features_size;
  float* offsets = hidden + static_cast<int64_t>(count) * offsets_count;
  float* xy = offsets + static_cast<int64_t>(count) * offsets_count;
  int32_t* pixels = reinterpret_cast<int32_t*>(xy + 2 * count);

  const auto multiply = [&](const float* in, const Layer& layer, Activation activation, bool accumulate, float* result) {
    Product product = {};
    product.num_segments = 1;
    product.segments[0] = {in, layer.depth, layer.depth};
    product.weights = layer.panels.data();
    product.bias = layer.bias.data();
    product.outputs = layer.outputs;
    product.accumulate = accumulate;
    product.activation = activation;
    product.out = result;
    product.out_stride = layer.outputs;
    product.pixels = count;
    kernels_.product(product);
  };

  for (int i = 0; i < count; ++i) {
    const Keypoint& keypoint = keypoints_[first + i];
    for (int tap = 0; tap < 9; ++tap) {
      pixels[2 * (9 * i + tap)] = static_cast<int32_t>(keypoint.x) + tap % 3 - 1;
      pixels[2 * (9 * i + tap) + 1] = static_cast<int32_t>(keypoint.y) + tap / 3 - 1;
    }
  }
  kernels_.features_at(maps, pixels, 9 * count, patches);
  multiply(patches, weights_.offset_hidden, Activation::kSelu, false, hidden);
  multiply(hidden, weights_.offset_out, Activation::kNone, false, offsets);  // (N, 2·M), all x before all y

  const float limit = static_cast<float>(std::max(width_, height_)) / 4.0f;
  float* samples = patches;  // the patches have served
  float* projected = patches + static_cast<int64_t>(count) * dim;
  for (int m = 0; m < positions; ++m) {
    for (int i = 0; i < count; ++i) {
      const float* offset = offsets + static_cast<int64_t>(i) * offsets_count + m;
      xy[2 * i] = keypoints_[first + i].x + std::clamp(offset[0], -limit, limit);
      xy[2 * i + 1] = keypoints_[first + i].y + std::clamp(offset[positions], -limit, limit);
    }
    kernels_.sample_features(maps, xy, count, samples);
    multiply(samples, weights_.sample, Activation::kSelu, false, projected);
    multiply(projected, weights_.aggregate[m], Activation::kNone, m > 0, out);
  }
  kernels_.normalise(out, count, dim);
}

}  // namespace aliked_cpu
