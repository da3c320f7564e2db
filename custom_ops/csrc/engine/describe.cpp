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

  const auto apply = [&](const float* in, const Layer& layer, Activation activation, float* result) {
    Product product = {};
    const int words = layer.words(layer.depth);
    product.num_segments = 1;
    product.segments[0] = {in, words, words};
    product.weights = layer.panels.data();
    product.bias = layer.bias.data();
    product.outputs = layer.outputs;
    product.activation = activation;
    product.out = result;
    product.out_stride = layer.outputs;
    product.pixels = count;
    return product;
  };

  for (int i = 0; i < count; ++i) {
    const Keypoint& keypoint = keypoints_[first + i];
    for (int tap = 0; tap < 9; ++tap) {
      pixels[2 * (9 * i + tap)] = static_cast<int32_t>(keypoint.x) + tap % 3 - 1;
      pixels[2 * (9 * i + tap) + 1] = static_cast<int32_t>(keypoint.y) + tap / 3 - 1;
    }
  }
  kernels_.features_at(maps, pixels, 9 * count, patches);
  if (narrow_) kernels_.narrow(patches, features_size, patches);
  multiply(weights_.offset_hidden, apply(patches, weights_.offset_hidden, Activation::kSelu, hidden));
  // (N, 2·M), all x before all y
  multiply(weights_.offset_out, apply(hidden, weights_.offset_out, Activation::kNone, offsets));

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
    if (narrow_) kernels_.narrow(samples, static_cast<int64_t>(count) * dim, samples);
    Product project = apply(samples, weights_.sample, Activation::kSelu, projected);
    if (narrow_) {
      project.narrow_output = true;
      project.out_stride = dim / 2;
    }
    multiply(weights_.sample, project);
    Product aggregate = apply(projected, weights_.aggregate[m], Activation::kNone, out);
    aggregate.accumulate = m > 0;
    multiply(weights_.aggregate[m], aggregate);
  }
  kernels_.normalise(out, count, dim);
}

}  // namespace aliked_cpu
