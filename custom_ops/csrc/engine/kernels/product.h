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

// How a word of input and its weights add to a sum.
struct Float32 {
  static ALIKED_INLINE Vec add(Vec sum, Vec weight, float word) { return sum + weight * splat(word); }
};

#if defined(__AVX512BF16__)
struct BFloat16 {
  static ALIKED_INLINE Vec add(Vec sum, Vec weight, float word) {
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)weight, (__m512bh)splat(word));
  }
};

ALIKED_INLINE void store_narrow(float* out, Vec value, bool half) {
  const __m256bh rounded = _mm512_cvtneps_pbh((__m512)value);
  __builtin_memcpy(out, &rounded, half ? 16 : 32);
}

void narrow(const float* in, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kLanes) store_narrow(out + i / 2, load(in + i), false);
}
#endif

// Sums of Pixels × Vectors over one segment; `weights` moves on to the next segment's.
template <typename Arithmetic, int Pixels, int Vectors>
ALIKED_INLINE void add_segment(const Segment& segment, int64_t first_pixel, const float* (&weights)[Vectors],
                               Vec (&sums)[Pixels][Vectors]) {
  const float* inputs[Pixels];
  ALIKED_UNROLL
  for (int p = 0; p < Pixels; ++p) inputs[p] = segment.data + (first_pixel + p) * segment.pixel_stride;
  for (int64_t k = 0; k < segment.depth; ++k) {
    Vec weight[Vectors];
    ALIKED_UNROLL
    for (int v = 0; v < Vectors; ++v) weight[v] = load(weights[v] + k * kPanel);
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) {
      const float input = inputs[p][k];
      ALIKED_UNROLL
      for (int v = 0; v < Vectors; ++v) sums[p][v] = Arithmetic::add(sums[p][v], weight[v], input);
    }
  }
  ALIKED_UNROLL
  for (int v = 0; v < Vectors; ++v) weights[v] += static_cast<int64_t>(segment.depth) * kPanel;
}

template <int Pixels, int Vectors>
ALIKED_INLINE void store_sums(const Product& product, int64_t first_pixel, int first_output,
                              const Vec (&sums)[Pixels][Vectors]) {
  ALIKED_UNROLL
  for (int v = 0; v < Vectors; ++v) {
    const int output = first_output + v * kLanes, left = product.outputs - output;
    if (left <= 0) continue;  // padding of the panel
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) {
      float* out = product.out + (first_pixel + p) * product.out_stride;
#if defined(__AVX512BF16__)
      if (product.narrow_output) {
        store_narrow(out + output / 2, sums[p][v], left < kLanes);
        continue;
      }
#endif
      if (left >= kLanes) {
        store(out + output, sums[p][v]);
      } else {
        __builtin_memcpy(out + output, &sums[p][v], sizeof(Vec) / 2);  // 8 outputs on 16 lanes
      }
    }
  }
}

// Not inlined: GCC would keep the sums in memory.
template <typename Arithmetic, int Pixels, int Vectors>
__attribute__((noinline)) void product_block(const Product& product, int64_t depth, int64_t first_pixel,
                                             int first_output) {
  Vec sums[Pixels][Vectors];
  const float* weights[Vectors];
  ALIKED_UNROLL
  for (int v = 0; v < Vectors; ++v) {
    const int output = first_output + v * kLanes;
    weights[v] = product.weights + output / kPanel * depth * kPanel + output % kPanel;
    const Vec start = product.bias ? load(product.bias + output) : Vec{};
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) {
      sums[p][v] = product.accumulate ? load(product.out + (first_pixel + p) * product.out_stride + output) : start;
    }
  }
  for (int s = 0; s < product.num_segments; ++s) {
    add_segment<Arithmetic, Pixels, Vectors>(product.segments[s], first_pixel, weights, sums);
  }
  if (product.activation == Activation::kSelu) {
    ALIKED_UNROLL
    for (int p = 0; p < Pixels; ++p) {
      ALIKED_UNROLL
      for (int v = 0; v < Vectors; ++v) sums[p][v] = selu(sums[p][v]);
    }
  }
  store_sums<Pixels, Vectors>(product, first_pixel, first_output, sums);
}

template <typename Arithmetic, int Vectors>
ALIKED_INLINE void product_columns(const Product& product, int64_t depth, int first_output) {
  int64_t pixel = 0;
  for (; pixel + kPixels <= product.pixels; pixel += kPixels) {
    product_block<Arithmetic, kPixels, Vectors>(product, depth, pixel, first_output);
  }
  if (kPixels > 4 && pixel + 4 <= product.pixels) {
    product_block<Arithmetic, 4, Vectors>(product, depth, pixel, first_output);
    pixel += 4;
  }
  for (; pixel < product.pixels; ++pixel) {
    product_block<Arithmetic, 1, Vectors>(product, depth, pixel, first_output);
  }
}

template <typename Arithmetic>
void multiply(const Product& product) {
  int64_t depth = 0;
  for (int s = 0; s < product.num_segments; ++s) depth += product.segments[s].depth;
  const int padded = (product.outputs + kPanel - 1) / kPanel * kPanel;
  int output = 0;
  for (; output + kVectors * kLanes <= padded; output += kVectors * kLanes) {
    product_columns<Arithmetic, kVectors>(product, depth, output);
  }
  if (output < padded) product_columns<Arithmetic, kPanel / kLanes>(product, depth, output);
}

}  // namespace
