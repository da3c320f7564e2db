// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The micro-kernel of every convolution and matrix product: sums of kPixels × kVectors stay in registers while weights
// are loaded once and inputs are broadcast.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

using aliked_cpu::Activation;
using aliked_cpu::kPanel;
using aliked_cpu::Product;
using aliked_cpu::Segment;

#if defined(__AVX512F__)
constexpr int kPixels = 8, kVectors = 2;  // 16 sums of 32 registers
#elif defined(__ARM_NEON)
constexpr int kPixels = 4, kVectors = 4;  // 16 sums of 32 registers
#else
constexpr int kPixels = 4, kVectors = 2;  // 8 sums of 16 registers
#endif

// Sums of Pixels × Vectors over one segment; `weights` moves on to the next segment's.
template <int Pixels, int Vectors>
ALIKED_INLINE void add_segment(const Segment& segment, int64_t first_pixel, const float* const (&weights)[Vectors],
                               int64_t& weight_offset, Vec (&sums)[Pixels][Vectors]) {
  const float* inputs[Pixels];
  ALIKED_UNROLL
  for (int p = 0; p < Pixels; ++p) {
    inputs[p] = static_cast<const float*>(segment.data) + (first_pixel + p) * segment.pixel_stride;
  }
  const float* w[Vectors];
  ALIKED_UNROLL
  for (int v = 0; v < Vectors; ++v) w[v] = weights[v] + weight_offset;
  for (int64_t k = 0; k < segment.depth; ++k) {
    Vec weight[Vectors];
    ALIKED_UNROLL
    for (int v = 0; v < Vectors; ++v) weight[v] = load(w[v] + k * kPanel);
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) {
      const Vec input = splat(inputs[p][k]);
      ALIKED_UNROLL
      for (int v = 0; v < Vectors; ++v) sums[p][v] += weight[v] * input;
    }
  }
  weight_offset += static_cast<int64_t>(segment.depth) * kPanel;
}

template <int Pixels, int Vectors>
ALIKED_INLINE void finish(const Product& product, int64_t first_pixel, int first_output,
                          Vec (&sums)[Pixels][Vectors]) {
  float* out = static_cast<float*>(product.out) + first_pixel * product.out_stride + first_output;
  ALIKED_UNROLL
  for (int p = 0; p < Pixels; ++p) {
    ALIKED_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      const Vec value = product.activation == Activation::kSelu ? selu(sums[p][v]) : sums[p][v];
      if (first_output + (v + 1) * kLanes <= product.outputs) {
        store(out + p * product.out_stride + v * kLanes, value);
      } else if (kLanes == 16 && first_output + v * kLanes < product.outputs) {
        __builtin_memcpy(out + p * product.out_stride + v * kLanes, &value, 8 * sizeof(float));
      }
    }
  }
}

template <int Pixels, int Vectors>
__attribute__((noinline)) void product_block(const Product& product, int64_t depth, int64_t first_pixel, int first_output) {
  Vec sums[Pixels][Vectors];
  const float* weights[Vectors];
  ALIKED_UNROLL
  for (int v = 0; v < Vectors; ++v) {
    const int output = first_output + v * kLanes;
    weights[v] = static_cast<const float*>(product.weights) + output / kPanel * depth * kPanel + output % kPanel;
    const Vec start = product.bias ? load(product.bias + output) : Vec{};
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) sums[p][v] = start;
  }
  if (product.accumulate) {
    const float* out = static_cast<const float*>(product.out) + first_pixel * product.out_stride + first_output;
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) {
      ALIKED_UNROLL
      for (int v = 0; v < Vectors; ++v) sums[p][v] = load(out + p * product.out_stride + v * kLanes);
    }
  }
  int64_t weight_offset = 0;
  for (int s = 0; s < product.num_segments; ++s) {
    add_segment<Pixels, Vectors>(product.segments[s], first_pixel, weights, weight_offset, sums);
  }
  finish<Pixels, Vectors>(product, first_pixel, first_output, sums);
}

template <int Vectors>
ALIKED_INLINE void product_column(const Product& product, int64_t depth, int first_output) {
  int64_t pixel = 0;
  for (; pixel + kPixels <= product.pixels; pixel += kPixels) {
    product_block<kPixels, Vectors>(product, depth, pixel, first_output);
  }
  if (kPixels > 4 && pixel + 4 <= product.pixels) {
    product_block<4, Vectors>(product, depth, pixel, first_output);
    pixel += 4;
  }
  for (; pixel < product.pixels; ++pixel) product_block<1, Vectors>(product, depth, pixel, first_output);
}

void product_f32(const Product& product) {
  int64_t depth = 0;
  for (int s = 0; s < product.num_segments; ++s) depth += product.segments[s].depth;
  const int padded = (product.outputs + kPanel - 1) / kPanel * kPanel;
  int output = 0;
  for (; output + kVectors * kLanes <= padded; output += kVectors * kLanes) {
    product_column<kVectors>(product, depth, output);
  }
  if (output < padded) product_column<kPanel / kLanes>(product, depth, output);
}

}  // namespace
