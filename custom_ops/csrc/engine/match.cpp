// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "match.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "buffer.h"
#include "thread_pool.h"

namespace aliked_cpu {

namespace {

constexpr int kColumnStep = 32;  // columns that the kernels take at a time, at most

// b (k, d) as panels (k / 16, d, 16).
void pack(const float* b, int64_t k, int64_t d, float* panels) {
  for (int64_t row = 0; row < k; ++row) {
    float* panel = panels + row / kPanel * d * kPanel + row % kPanel;
    for (int64_t c = 0; c < d; ++c) panel[c * kPanel] = b[row * d + c];
  }
}

}  // namespace

void match(const Kernels& kernels, const float* a, int64_t n, const float* b, int64_t k, int64_t d, int threads,
           int32_t* best_of_a, float* similarity, int32_t* best_of_b) {
  const int64_t padded = (k + kColumnStep - 1) / kColumnStep * kColumnStep;
  Buffer panels;
  panels.resize(padded * d);
  pack(b, k, d, panels.data());
  const int parts = static_cast<int>(std::clamp<int64_t>(threads, 1, (n + 63) / 64));
  std::vector<std::vector<float>> column_best(parts);
  std::vector<std::vector<int32_t>> column_index(parts);
  const int64_t rows = (n + parts - 1) / parts;
  ThreadPool pool(parts);
  pool.run(parts, [&](int part, int) {
    const int64_t first = part * rows, count = std::min(rows, n - first);
    if (count <= 0) return;
    column_best[part].assign(padded, -std::numeric_limits<float>::infinity());
    column_index[part].assign(padded, 0);
    kernels.match({a + first * d, static_cast<int>(first), static_cast<int>(count), panels.data(), static_cast<int>(k),
                   static_cast<int>(d), similarity + first, best_of_a + first, column_best[part].data(),
                   column_index[part].data()});
  });
  // Parts in the order of their rows, strictly greater: the first of equals stays.
  for (int64_t column = 0; column < k; ++column) {
    float best = -std::numeric_limits<float>::infinity();
    best_of_b[column] = 0;
    for (int part = 0; part < parts; ++part) {
      if (column_best[part].empty() || !(column_best[part][column] > best)) continue;
      best = column_best[part][column];
      best_of_b[column] = column_index[part][column];
    }
  }
}

}  // namespace aliked_cpu
