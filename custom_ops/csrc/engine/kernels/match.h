// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Similarities in tiles that never leave the registers, with the running best of each row and column.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

using aliked_cpu::kPanel;
using aliked_cpu::MatchBlock;

#if defined(__AVX512F__)
constexpr int kMatchRows = 8, kMatchVectors = 2;
#else
constexpr int kMatchRows = 4, kMatchVectors = 2;
#endif

ALIKED_INLINE Vec select(IntVec truth, Vec a, Vec b) { return (Vec)((truth & (IntVec)a) | (~truth & (IntVec)b)); }
ALIKED_INLINE IntVec select(IntVec truth, IntVec a, IntVec b) { return (truth & a) | (~truth & b); }

template <int Rows>
__attribute__((noinline)) void match_tile(const MatchBlock& block, int row, int column, Vec (&best)[Rows],
                                          IntVec (&index)[Rows]) {
  Vec sums[Rows][kMatchVectors] = {};
  const float* inputs[Rows];
  ALIKED_UNROLL
  for (int r = 0; r < Rows; ++r) inputs[r] = block.a + static_cast<int64_t>(row + r) * block.depth;
  const float* panels[kMatchVectors];
  ALIKED_UNROLL
  for (int v = 0; v < kMatchVectors; ++v) {
    const int at = column + v * kLanes;
    panels[v] = block.panels + static_cast<int64_t>(at / kPanel) * block.depth * kPanel + at % kPanel;
  }
  for (int64_t k = 0; k < block.depth; ++k) {
    Vec b[kMatchVectors];
    ALIKED_UNROLL
    for (int v = 0; v < kMatchVectors; ++v) b[v] = load(panels[v] + k * kPanel);
    ALIKED_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const Vec a = splat(inputs[r][k]);
      ALIKED_UNROLL
      for (int v = 0; v < kMatchVectors; ++v) sums[r][v] += a * b[v];
    }
  }
  ALIKED_UNROLL
  for (int v = 0; v < kMatchVectors; ++v) {
    const int at = column + v * kLanes;
    const IntVec columns = splat_int(at) + lane_numbers();
    const IntVec real = columns < splat_int(block.columns);
    Vec column_best = load(block.column_best + at);
    IntVec column_index = *reinterpret_cast<const IntVecU*>(block.column_index + at);
    ALIKED_UNROLL
    for (int r = 0; r < Rows; ++r) {
      // Strictly greater: of equals the first stays, as numpy.argmax has it.
      const IntVec row_wins = (IntVec)(sums[r][v] > best[r]) & real;
      best[r] = select(row_wins, sums[r][v], best[r]);
      index[r] = select(row_wins, columns, index[r]);
      const IntVec column_wins = (IntVec)(sums[r][v] > column_best);
      column_best = select(column_wins, sums[r][v], column_best);
      column_index = select(column_wins, splat_int(block.first_row + row + r), column_index);
    }
    store(block.column_best + at, column_best);
    *reinterpret_cast<IntVecU*>(block.column_index + at) = column_index;
  }
}

template <int Rows>
ALIKED_INLINE void match_rows(const MatchBlock& block, int row) {
  Vec best[Rows];
  IntVec index[Rows];
  ALIKED_UNROLL
  for (int r = 0; r < Rows; ++r) {
    best[r] = splat(-__builtin_inff());
    index[r] = IntVec{};
  }
  const int padded = (block.columns + kPanel - 1) / kPanel * kPanel;
  constexpr int kStep = kMatchVectors * kLanes;
  const int end = (padded + kStep - 1) / kStep * kStep;
  for (int column = 0; column < end; column += kStep) match_tile<Rows>(block, row, column, best, index);
  for (int r = 0; r < Rows; ++r) {
    float top = best[r][0];
    int32_t where = index[r][0];
    for (int lane = 1; lane < kLanes; ++lane) {
      const float value = best[r][lane];
      if (value > top || (value == top && index[r][lane] < where)) {
        top = value;
        where = index[r][lane];
      }
    }
    block.row_best[row + r] = top;
    block.row_index[row + r] = where;
  }
}

void match(const MatchBlock& block) {
  int row = 0;
  for (; row + kMatchRows <= block.rows; row += kMatchRows) match_rows<kMatchRows>(block, row);
  for (; row < block.rows; ++row) match_rows<1>(block, row);
}

}  // namespace
