// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The warp's matrix instructions (PTX ISA, "Warp Level Matrix Multiply-Accumulate Instructions"). All lanes call them
// together; the last one to arrive does the work of all.
#pragma once

#include <cstdint>
#include <type_traits>

#include "block.h"

namespace emulator {

#ifdef __AVX__
constexpr int kVector = 8;
#else
constexpr int kVector = 4;
#endif
typedef float Floats __attribute__((vector_size(4 * kVector), may_alias));
typedef uint32_t Words __attribute__((vector_size(4 * kVector), may_alias));

// ldmatrix.sync.aligned.m8n8.x4.shared.b16: lane l gives row l % 8 of matrix l / 8, and gets elements 2 * (l % 4) and
// the next of row l / 4 of each matrix.
inline void load_matrices(uint32_t (&r)[4], const void* row) {
  Worker& worker = *current_worker;
  Warp& warp = worker.warp();
  const unsigned lane = threadIdx.x % kLanes;
  const uintptr_t offset = reinterpret_cast<uintptr_t>(row) - reinterpret_cast<uintptr_t>(worker.shared());
  if (offset % 16 != 0) worker.fail("loads a row of a matrix that is not aligned to 16 bytes");
  if (offset >= worker.shared_bytes() || offset + 16 > worker.shared_bytes()) {
    worker.fail("loads a row of a matrix from outside of shared memory");
  }
  warp.rows[lane] = row;
  worker.meet(Collective::kLoad, kAllLanes, [](Warp& all) {
    for (unsigned index = 0; index < kLanes; ++index) {
      std::memcpy(&all.loaded[index / 8][index % 8 * 4], all.rows[index], 16);
    }
  });
  for (int matrix = 0; matrix < 4; ++matrix) r[matrix] = warp.loaded[matrix][lane];
}

// The two 16-bit numbers of each word as floats.
template <typename T>
inline void widen(const uint32_t* words, int count, float* low, float* high) {
  for (int i = 0; i < count; i += kVector) {
    const Words pair = *reinterpret_cast<const Words*>(words + i);
    Words* const halves[2] = {reinterpret_cast<Words*>(low + i), reinterpret_cast<Words*>(high + i)};
    for (int half = 0; half < 2; ++half) {
      const Words top = half ? pair & 0xffff0000u : pair << 16;
      if (std::is_same<T, __nv_bfloat16>::value) {
        *halves[half] = top;
        continue;
      }
      const Words shifted = (top & 0x7fff0000u) >> 3, exponent = shifted & 0x0f800000u;
      const Words infinite = reinterpret_cast<Words>(exponent == 0x0f800000u);
      const Words subnormal = reinterpret_cast<Words>(exponent == 0u);
      // Subnormals become 2^-14 and more, from which 2^-14 is taken again.
      const Words biased = shifted + 0x38000000u + (infinite & 0x38000000u) + (subnormal & 0x00800000u);
      const Floats value = reinterpret_cast<Floats>(biased) - reinterpret_cast<Floats>(subnormal & 0x38800000u);
      *halves[half] = reinterpret_cast<Words>(value) | (top & 0x80000000u);
    }
  }
}

// Words as floats without the low 13 bits, which tf32 ignores.
inline void truncate(const uint32_t* words, int count, float* out) {
  for (int i = 0; i < count; ++i) out[i] = bit_cast<float>(words[i] & 0xffffe000u);
}

// product (16, 8) = d (16, 8) + a (16, depth) * b (depth, 8).
template <int kDepth>
inline void multiply(const float* a, const float* b, const float* d, float* product) {
  constexpr int kRows = 8;
  for (int row = 0; row < 16; row += kRows) {
    for (int column = 0; column < 8; column += kVector) {
      const float* from = d + row * 8 + column;
      const float* factors = a + row * kDepth;
      Floats sums[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sums[r] = *reinterpret_cast<const Floats*>(from + r * 8);
      for (int k = 0; k < kDepth; ++k) {
        const Floats line = *reinterpret_cast<const Floats*>(b + k * 8 + column);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sums[r] += line * factors[r * kDepth + k];
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) *reinterpret_cast<Floats*>(product + (row + r) * 8 + column) = sums[r];
    }
  }
}

// Puts each lane's registers into the warp's matrices of words, multiplies, and takes each lane's results.
template <typename Multiply>
inline void mma(Collective kind, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                const Multiply& multiply_all) {
  Worker& worker = *current_worker;
  Warp& warp = worker.warp();
  const unsigned lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
  warp.a[g][t] = a[0];
  warp.a[g + 8][t] = a[1];
  warp.a[g][t + 4] = a[2];
  warp.a[g + 8][t + 4] = a[3];
  warp.b[t][g] = b[0];
  warp.b[t + 4][g] = b[1];
  std::memcpy(&warp.d[g][2 * t], &d[0], 8);
  std::memcpy(&warp.d[g + 8][2 * t], &d[2], 8);
  worker.meet(kind, kAllLanes, multiply_all);
  std::memcpy(&d[0], &warp.product[g][2 * t], 8);
  std::memcpy(&d[2], &warp.product[g + 8][2 * t], 8);
}

// mma.sync.aligned.m16n8k16.row.col.f32.T.T.f32, d being both C and D.
template <typename T>
inline void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  constexpr bool kHalf = std::is_same<T, __half>::value;
  static_assert(kHalf || std::is_same<T, __nv_bfloat16>::value, "of __half or __nv_bfloat16");
  mma(kHalf ? Collective::kMmaHalf : Collective::kMmaBfloat16, d, a, b, [](Warp& warp) {
    // The even elements of a row of a, or of a column of b, then the odd ones.
    alignas(64) float low[16 * 8], high[16 * 8], rows[16 * 16], columns[16 * 8];
    widen<T>(&warp.a[0][0], 16 * 8, low, high);
    for (int row = 0; row < 16; ++row) {
      std::memcpy(rows + row * 16, low + row * 8, 32);
      std::memcpy(rows + row * 16 + 8, high + row * 8, 32);
    }
    widen<T>(&warp.b[0][0], 8 * 8, columns, columns + 8 * 8);
    multiply<16>(rows, columns, &warp.d[0][0], &warp.product[0][0]);
  });
}

// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32, d being both C and D.
inline void mma_16x8x8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma(Collective::kMmaTf32, d, a, b, [](Warp& warp) {
    alignas(64) float rows[16 * 8], columns[8 * 8];
    truncate(&warp.a[0][0], 16 * 8, rows);
    truncate(&warp.b[0][0], 8 * 8, columns);
    multiply<8>(rows, columns, &warp.d[0][0], &warp.product[0][0]);
  });
}

}  // namespace emulator
