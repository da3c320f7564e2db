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

// The best pairs of some rows so far: of each lane's columns, and of pairs that were looked at one by one.
template <int Rows>
struct RowBest {
  Vec best[Rows];
  IntVec index[Rows];
  float single[Rows];
  int32_t single_index[Rows];
};

// Adds the products of the values from, ..., to - 1 to the sums of a tile.
template <int Rows>
ALIKED_INLINE void accumulate(const MatchBlock& block, int row, int column, int from, int to,
                              Vec (&sums)[Rows][kMatchVectors]) {
  const float* inputs[Rows];
  ALIKED_UNROLL
  for (int r = 0; r < Rows; ++r) inputs[r] = block.a + static_cast<int64_t>(row + r) * block.depth;
  const float* panels[kMatchVectors];
  ALIKED_UNROLL
  for (int v = 0; v < kMatchVectors; ++v) {
    const int at = column + v * kLanes;
    panels[v] = block.panels + static_cast<int64_t>(at / kPanel) * block.depth * kPanel + at % kPanel;
  }
  for (int64_t k = from; k < to; ++k) {
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
}

template <int Rows>
ALIKED_INLINE void keep_best(const MatchBlock& block, int row, int column, const Vec (&sums)[Rows][kMatchVectors],
                             RowBest<Rows>& rows) {
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
      const IntVec row_wins = (IntVec)(sums[r][v] > rows.best[r]) & real;
      rows.best[r] = select(row_wins, sums[r][v], rows.best[r]);
      rows.index[r] = select(row_wins, columns, rows.index[r]);
      const IntVec column_wins = (IntVec)(sums[r][v] > column_best);
      column_best = select(column_wins, sums[r][v], column_best);
      column_index = select(column_wins, splat_int(block.first_row + row + r), column_index);
    }
    store(block.column_best + at, column_best);
    *reinterpret_cast<IntVecU*>(block.column_index + at) = column_index;
  }
}

template <int Rows>
__attribute__((noinline)) void match_tile(const MatchBlock& block, int row, int column, RowBest<Rows>& rows) {
  Vec sums[Rows][kMatchVectors] = {};
  accumulate<Rows>(block, row, column, 0, block.depth, sums);
  keep_best<Rows>(block, row, column, sums, rows);
}

ALIKED_INLINE float product_of(const float* a, const float* b, int depth) {
  constexpr int kSums = 4;  // as many as cover the latency of an addition
  Vec sums[kSums] = {};
  int k = 0;
  for (; k + kSums * kLanes <= depth; k += kSums * kLanes) {
    ALIKED_UNROLL
    for (int i = 0; i < kSums; ++i) sums[i] += load(a + k + i * kLanes) * load(b + k + i * kLanes);
  }
  float rest = 0.0f;
  for (; k < depth; ++k) rest += a[k] * b[k];
  return horizontal_sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

// A pair by itself, in the order of rows and then columns.
template <int Rows>
ALIKED_INLINE void keep_pair(const MatchBlock& block, int row, int r, int column, RowBest<Rows>& rows) {
  const float product = product_of(block.a + static_cast<int64_t>(row + r) * block.depth,
                                   block.b + static_cast<int64_t>(column) * block.depth, block.depth);
  if (product > rows.single[r]) {
    rows.single[r] = product;
    rows.single_index[r] = column;
  }
  if (product > block.column_best[column]) {
    block.column_best[column] = product;
    block.column_index[column] = block.first_row + row + r;
  }
}

// Like match_tile, but looks no further at pairs that cannot reach the gate.
template <int Rows>
__attribute__((noinline)) void prune_tile(const MatchBlock& block, int row, int column, RowBest<Rows>& rows) {
  constexpr int kWidth = kMatchVectors * kLanes, kPairs = Rows * kWidth, kWords = (kPairs + 63) / 64;
  // Where more pairs than this are left, going on with all of them costs less than each by itself.
  constexpr int kFew = kPairs / 6;
  Vec sums[Rows][kMatchVectors] = {};
  accumulate<Rows>(block, row, column, 0, block.prefix, sums);
  uint64_t left[kWords] = {};  // a bit for each pair, row by row
  ALIKED_UNROLL
  for (int v = 0; v < kMatchVectors; ++v) {
    const int at = column + v * kLanes;
    const IntVec real = splat_int(at) + lane_numbers() < splat_int(block.columns);
    const Vec rest = load(block.b_rest + at);
    ALIKED_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const Vec bound = sums[r][v] + splat(block.a_rest[row + r]) * rest;
      const int bit = r * kWidth + v * kLanes;
      left[bit / 64] |= static_cast<uint64_t>(mask_of((IntVec)(bound >= splat(block.gate)) & real)) << bit % 64;
    }
  }
  int count = 0;
  ALIKED_UNROLL
  for (int w = 0; w < kWords; ++w) count += __builtin_popcountll(left[w]);
  if (count > kFew) {
    accumulate<Rows>(block, row, column, block.prefix, block.depth, sums);
    keep_best<Rows>(block, row, column, sums, rows);
    return;
  }
  if (count == 0) return;
  ALIKED_UNROLL
  for (int w = 0; w < kWords; ++w) {
    for (uint64_t bits = left[w]; bits != 0; bits &= bits - 1) {
      const int pair = w * 64 + __builtin_ctzll(bits);
      keep_pair<Rows>(block, row, pair / kWidth, column + pair % kWidth, rows);
    }
  }
}

template <int Rows>
ALIKED_INLINE void match_rows(const MatchBlock& block, int row) {
  RowBest<Rows> rows;
  for (int r = 0; r < Rows; ++r) {
    rows.best[r] = splat(-__builtin_inff());
    rows.index[r] = IntVec{};
    rows.single[r] = -__builtin_inff();
    rows.single_index[r] = 0;
  }
  const int padded = (block.columns + kPanel - 1) / kPanel * kPanel;
  constexpr int kStep = kMatchVectors * kLanes;
  const int end = (padded + kStep - 1) / kStep * kStep;
  const auto tile = block.prefix > 0 ? prune_tile<Rows> : match_tile<Rows>;
  for (int column = 0; column < end; column += kStep) tile(block, row, column, rows);
  for (int r = 0; r < Rows; ++r) {
    float top = rows.single[r];
    int32_t where = rows.single_index[r];
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = rows.best[r][lane];
      if (value > top || (value == top && rows.index[r][lane] < where)) {
        top = value;
        where = rows.index[r][lane];
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
