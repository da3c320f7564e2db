// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The vector type of one instruction set and the little that GCC's vector extensions lack.
//
// Included by one translation unit per instruction set, each compiled with its own flags. Everything is in an unnamed
// namespace and nothing instantiates the standard library: an inline function compiled for AVX-512 must not become the
// one copy that the linker keeps for every processor.
#pragma once

#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__clang__)
#define ALIKED_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ALIKED_UNROLL _Pragma("GCC unroll 32")
#endif
#define ALIKED_INLINE inline __attribute__((always_inline))

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;  // SSE2 and NEON
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef float VecU __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t IntVec __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntVecU __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

ALIKED_INLINE Vec load(const float* p) { return *reinterpret_cast<const VecU*>(p); }
ALIKED_INLINE void store(float* p, Vec v) { *reinterpret_cast<VecU*>(p) = v; }
// Not x + 0, which compilers must keep: it turns -0 into 0.
ALIKED_INLINE Vec splat(float x) { return x - Vec{}; }
ALIKED_INLINE IntVec splat_int(int32_t x) { return IntVec{} + x; }

#if defined(__AVX512F__)
ALIKED_INLINE Vec vmin(Vec a, Vec b) { return (Vec)_mm512_min_ps((__m512)a, (__m512)b); }
ALIKED_INLINE Vec vmax(Vec a, Vec b) { return (Vec)_mm512_max_ps((__m512)a, (__m512)b); }
ALIKED_INLINE Vec vround(Vec a) {
  return (Vec)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
ALIKED_INLINE Vec scale_by_power_of_2(Vec x, Vec exponent) {
  return (Vec)_mm512_scalef_ps((__m512)x, (__m512)exponent);
}
// Bit i tells whether lane i of the comparison result holds.
ALIKED_INLINE uint32_t mask_of(IntVec truth) { return _mm512_movepi32_mask((__m512i)truth); }
#elif defined(__AVX2__)
ALIKED_INLINE Vec vmin(Vec a, Vec b) { return (Vec)_mm256_min_ps((__m256)a, (__m256)b); }
ALIKED_INLINE Vec vmax(Vec a, Vec b) { return (Vec)_mm256_max_ps((__m256)a, (__m256)b); }
ALIKED_INLINE uint32_t mask_of(IntVec truth) { return _mm256_movemask_ps((__m256)truth); }
#elif defined(__SSE2__)
ALIKED_INLINE Vec vmin(Vec a, Vec b) { return (Vec)_mm_min_ps((__m128)a, (__m128)b); }
ALIKED_INLINE Vec vmax(Vec a, Vec b) { return (Vec)_mm_max_ps((__m128)a, (__m128)b); }
ALIKED_INLINE uint32_t mask_of(IntVec truth) { return _mm_movemask_ps((__m128)truth); }
#else
#if defined(__ARM_NEON)
ALIKED_INLINE Vec vmin(Vec a, Vec b) { return (Vec)vminq_f32((float32x4_t)a, (float32x4_t)b); }
ALIKED_INLINE Vec vmax(Vec a, Vec b) { return (Vec)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
#else
ALIKED_INLINE Vec vmin(Vec a, Vec b) { return a < b ? a : b; }
ALIKED_INLINE Vec vmax(Vec a, Vec b) { return a > b ? a : b; }
#endif
ALIKED_INLINE uint32_t mask_of(IntVec truth) {
  uint32_t mask = 0;
  ALIKED_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) mask |= (truth[lane] & 1u) << lane;
  return mask;
}
#endif

#if !defined(__AVX512F__)
// Adding 1.5 * 2^23 leaves no bits for a fraction: rounds to nearest for |a| < 2^22.
ALIKED_INLINE Vec vround(Vec a) {
  const Vec magic = splat(12582912.0f);
  return (a + magic) - magic;
}
// For integral exponents with a normal result: adds to the exponent bits.
ALIKED_INLINE Vec scale_by_power_of_2(Vec x, Vec exponent) {
  return (Vec)((IntVec)x + (__builtin_convertvector(exponent, IntVec) << 23));
}
#endif

ALIKED_INLINE IntVec lane_numbers() {
  IntVec numbers = {};
  ALIKED_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) numbers[lane] = lane;
  return numbers;
}

ALIKED_INLINE float horizontal_sum(Vec v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float sum = v[0];
  ALIKED_UNROLL
  for (int lane = 1; lane < kLanes; ++lane) sum += v[lane];
  return sum;
#endif
}

// 2^t for |t| <= 126: 2^n * 2^f with n = round(t), 2^f by a minimax polynomial of relative error 9.2e-8, exact at 0.
ALIKED_INLINE Vec exp2_bounded(Vec t) {
  const Vec n = vround(t), f = t - n;
  Vec p = splat(0.001326472731307149f);
  p = p * f + 0.009671512991189957f;
  p = p * f + 0.05550733581185341f;
  p = p * f + 0.24022242426872253f;
  p = p * f + 0.6931470036506653f;
  p = p * f + 1.0f;
  return scale_by_power_of_2(p, n);
}

constexpr float kLog2E = 1.44269504088896340736f;

// e^x; arguments beyond ±87 count as ±87.
ALIKED_INLINE Vec vexp(Vec x) { return exp2_bounded(vmax(vmin(x, splat(87.0f)), splat(-87.0f)) * kLog2E); }

// SELU (Klambauer et al., 2017): scale * x above zero, scale * alpha * (e^x - 1) below.
ALIKED_INLINE Vec selu(Vec x) {
  constexpr float scale = 1.0507009873554804934193349852946f;
  constexpr float scale_alpha = 1.7580993408473768599402175208123f;
  const Vec zero = {};
  // e^-25 = 1.4e-11 vanishes next to 1.
  const Vec power = exp2_bounded(vmax(vmin(x, zero) * kLog2E, splat(-36.0f)));
  return vmax(x, zero) * scale + (power * scale_alpha - scale_alpha);
}

// Sigmoid, 1 / (1 + e^-x).
ALIKED_INLINE Vec sigmoid(Vec x) { return 1.0f / (1.0f + vexp(-x)); }

// Transposes kLanes vectors of kLanes values in place: in step s, vectors i and i + s exchange their blocks of s lanes.
template <int Step>
struct BlockMask {
  // Lane j of the lower result: block j / Step even: own lane j, odd: lane j - Step of the partner.
  static constexpr int lower(int j) { return (j / Step) % 2 == 0 ? j : kLanes + j - Step; }
  static constexpr int upper(int j) { return (j / Step) % 2 == 0 ? j + Step : kLanes + j; }
};

template <int... Lanes>
struct LaneList {};
template <int N, int... Lanes>
struct MakeLanes : MakeLanes<N - 1, N - 1, Lanes...> {};
template <int... Lanes>
struct MakeLanes<0, Lanes...> {
  using type = LaneList<Lanes...>;
};

template <int Step, int... Lanes>
ALIKED_INLINE void exchange_blocks(Vec& a, Vec& b, LaneList<Lanes...>) {
#if defined(__clang__)
  const Vec lower = __builtin_shufflevector(a, b, BlockMask<Step>::lower(Lanes)...);
  const Vec upper = __builtin_shufflevector(a, b, BlockMask<Step>::upper(Lanes)...);
#else
  const Vec lower = __builtin_shuffle(a, b, IntVec{BlockMask<Step>::lower(Lanes)...});
  const Vec upper = __builtin_shuffle(a, b, IntVec{BlockMask<Step>::upper(Lanes)...});
#endif
  a = lower;
  b = upper;
}

template <int Step>
ALIKED_INLINE void transpose_step(Vec (&rows)[kLanes]) {
  ALIKED_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if ((i / Step) % 2 == 0) exchange_blocks<Step>(rows[i], rows[i + Step], typename MakeLanes<kLanes>::type{});
  }
}

ALIKED_INLINE void transpose(Vec (&rows)[kLanes]) {
  transpose_step<1>(rows);
  transpose_step<2>(rows);
#if defined(__AVX512F__) || defined(__AVX2__)
  transpose_step<4>(rows);
#endif
#if defined(__AVX512F__)
  transpose_step<8>(rows);
#endif
}

}  // namespace
