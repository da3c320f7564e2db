// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The score head on planes: pixels lie across lanes, since 8, 4 and 1 channels would leave most lanes of a pixel idle.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

using aliked_cpu::kScoreWidth;
using aliked_cpu::Neighbours;
using aliked_cpu::PlaneConvRow;
using aliked_cpu::ScoreRow;

// kLanes pixels of 8 floats to 8 vectors of kLanes pixels.
void to_planes(const float* in, int64_t pixel_stride, int pixels, float* planes, int64_t plane_stride) {
  for (int x = 0; x < pixels; ++x) {
    for (int j = 0; j < kScoreWidth; ++j) planes[j * plane_stride + x] = in[x * pixel_stride + j];
  }
}

// source[index[lane]] for indices that lie within kLanes of the first one.
ALIKED_INLINE Vec take_near(const float* source, const int32_t* index) {
#if defined(__AVX512F__)
  const __m512i from_first = _mm512_sub_epi32(_mm512_loadu_si512(index), _mm512_set1_epi32(index[0]));
  return (Vec)_mm512_permutexvar_ps(from_first, (__m512)load(source + index[0]));
#elif defined(__AVX2__)
  const __m256i indices = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
  const __m256i from_first = _mm256_sub_epi32(indices, _mm256_set1_epi32(index[0]));
  return (Vec)_mm256_permutevar8x32_ps((__m256)load(source + index[0]), from_first);
#else
  Vec taken = {};
  ALIKED_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) taken[lane] = source[index[lane]];
  return taken;
#endif
}

void stretch(const float* in, int64_t in_plane_stride, const Neighbours& columns, int width, float* out,
             int64_t out_plane_stride) {
  for (int x = 0; x < width; x += kLanes) {
    const Vec fraction = load(columns.fraction + x), rest = 1.0f - fraction;
    for (int j = 0; j < kScoreWidth; ++j) {
      // A level has at most half the width: kLanes columns span no more than kLanes / 2 + 2 of its pixels.
      const Vec low = take_near(in + j * in_plane_stride, columns.low + x);
      const Vec high = take_near(in + j * in_plane_stride, columns.high + x);
      store(out + j * out_plane_stride + x, low * rest + high * fraction);
    }
  }
}

// Level 1's channels of kLanes pixels, transposed: channels[c][lane].
template <int Channels>
ALIKED_INLINE void load_transposed(const ScoreRow& row, int x, Vec (&channels)[Channels]) {
  const float* in = row.x1 + static_cast<int64_t>(x) * Channels;
  // x1 comes from memory, and a block's work is too short for the processor to see the next one coming.
  constexpr int kAhead = 4;
  ALIKED_UNROLL
  for (int i = 0; i < Channels * kLanes; i += 16) __builtin_prefetch(in + i + kAhead * Channels * kLanes);
  Vec block[kLanes];
#if defined(__AVX512F__)
  if (Channels == 8) {  // a vector holds two pixels: lanes 0..7 of pixel 2i, lanes 8..15 of pixel 2i + 1
    ALIKED_UNROLL
    for (int i = 0; i < 8; ++i) {
      const Vec pair = load(in + i * 16);
      block[2 * i] = pair;
      block[2 * i + 1] = (Vec)_mm512_shuffle_f32x4((__m512)pair, (__m512)pair, 0x4E);
    }
    transpose(block);
    ALIKED_UNROLL
    for (int c = 0; c < Channels; ++c) channels[c] = block[c];
    return;
  }
#endif
  ALIKED_UNROLL
  for (int first = 0; first < Channels; first += kLanes) {
    ALIKED_UNROLL
    for (int i = 0; i < kLanes; ++i) block[i] = load(in + i * Channels + first);
    transpose(block);
    ALIKED_UNROLL
    for (int i = 0; i < kLanes; ++i) {
      if (first + i < Channels) channels[first + i] = block[i];
    }
  }
}

// What the coarser levels add to channel j: the sum of their vertically interpolated rows.
ALIKED_INLINE Vec coarser_levels(const ScoreRow& row, int j, int x) {
  const int64_t at = j * row.upsampled_plane_stride + x;
  Vec sum = {};
  ALIKED_UNROLL
  for (int level = 0; level < 3; ++level) {
    const float fraction = row.fraction[level];
    sum += load(row.upper[level] + at) * (1.0f - fraction) + load(row.lower[level] + at) * fraction;
  }
  return sum;
}

template <int Channels>
__attribute__((noinline)) void score_block(const ScoreRow& row, int x) {
  constexpr int kGroup = 8;  // hidden channels at a time: enough independent sums to hide an FMA's latency
  Vec channels[Channels];
  load_transposed<Channels>(row, x, channels);
  Vec sums[kScoreWidth];
  ALIKED_UNROLL
  for (int j = 0; j < kScoreWidth; ++j) sums[j] = coarser_levels(row, j, x);
  for (int o = 0; o < row.quarter; o += kGroup) {
    const float* project = row.project + o * Channels;
    Vec hidden[kGroup] = {};
    ALIKED_UNROLL
    for (int c = 0; c < Channels; ++c) {
      ALIKED_UNROLL
      for (int i = 0; i < kGroup; ++i) hidden[i] += channels[c] * splat(project[i * Channels + c]);
    }
    ALIKED_UNROLL
    for (int i = 0; i < kGroup; ++i) {
      const Vec value = selu(hidden[i]);
      ALIKED_UNROLL
      for (int j = 0; j < kScoreWidth; ++j) sums[j] += value * splat(row.head[(o + i) * kScoreWidth + j]);
    }
  }
  ALIKED_UNROLL
  for (int j = 0; j < kScoreWidth; ++j) store(row.planes + j * row.plane_stride + x, selu(sums[j]));
}

void score_row(const ScoreRow& row) {
  for (int x = 0; x < row.width; x += kLanes) {
    row.channels == 16 ? score_block<16>(row, x) : score_block<8>(row, x);
  }
}

// Sums of a 3x3 convolution at Vectors * kLanes neighbouring pixels.
template <int Outputs, int Vectors>
ALIKED_INLINE void plane_conv_block(const PlaneConvRow& conv, int x, Vec (&sums)[Outputs][Vectors]) {
  const float* weights = conv.weights;
  for (int c = 0; c < conv.inputs; ++c) {
    ALIKED_UNROLL
    for (int tap = 0; tap < 9; ++tap) {
      const float* in = conv.rows[tap / 3] + c * conv.plane_stride + x + tap % 3 - 1;
      Vec pixels[Vectors];
      ALIKED_UNROLL
      for (int v = 0; v < Vectors; ++v) pixels[v] = load(in + v * kLanes);
      ALIKED_UNROLL
      for (int o = 0; o < Outputs; ++o) {
        const Vec weight = splat(weights[tap * Outputs + o]);
        ALIKED_UNROLL
        for (int v = 0; v < Vectors; ++v) sums[o][v] += pixels[v] * weight;
      }
    }
    weights += 9 * Outputs;
  }
}

void plane_conv_selu(const PlaneConvRow& conv) {
  constexpr int kVectors = 2, kOutputs = 4;
  for (int x = 0; x < conv.width; x += kVectors * kLanes) {
    Vec sums[kOutputs][kVectors] = {};
    plane_conv_block<kOutputs, kVectors>(conv, x, sums);
    ALIKED_UNROLL
    for (int o = 0; o < kOutputs; ++o) {
      ALIKED_UNROLL
      for (int v = 0; v < kVectors; ++v) store(conv.out + o * conv.out_plane_stride + x + v * kLanes, selu(sums[o][v]));
    }
  }
}

void plane_conv_sigmoid(const PlaneConvRow& conv) {
  constexpr int kVectors = 2;
  for (int x = 0; x < conv.width; x += kVectors * kLanes) {
    Vec sums[1][kVectors] = {};
    plane_conv_block<1, kVectors>(conv, x, sums);
    ALIKED_UNROLL
    for (int v = 0; v < kVectors; ++v) store(conv.out + x + v * kLanes, sigmoid(sums[0][v]));
  }
}

}  // namespace
