// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "match.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "buffer.h"
#include "thread_pool.h"

namespace aliked_cpu {

namespace {

constexpr int kColumnStep = 32;  // columns that the kernels take at a time, at most
constexpr int kRowStep = 8;      // rows, at most: parts of whole steps give the same tiles for any number of threads
constexpr int kPrefix = 32;
constexpr float kPruneFrom = 0.5f;  // of the largest possible product: a lower gate leaves too few pairs out
constexpr float kRounding = 1e-5f;  // of the largest possible product: what a bound may lack of its true value
constexpr float kNothing = -std::numeric_limits<float>::infinity();

// b (k, d) as panels (k / 16, d, 16).
void pack(const float* b, int64_t k, int64_t d, float* panels) {
  for (int64_t first = 0; first < k; first += kPanel) {
    const int64_t rows = std::min<int64_t>(kPanel, k - first);
    float* panel = panels + first * d;
    for (int64_t c = 0; c < d; ++c) {
      for (int64_t row = 0; row < rows; ++row) panel[c * kPanel + row] = b[(first + row) * d + c];
    }
  }
}

// The sum of squares, in as many partial sums as vectors have lanes.
float squared_length(const float* values, int64_t count) {
  float partial[kPanel] = {};
  int64_t i = 0;
  for (; i + kPanel <= count; i += kPanel) {
    for (int lane = 0; lane < kPanel; ++lane) partial[lane] += values[i + lane] * values[i + lane];
  }
  float sum = 0.0f;
  for (; i < count; ++i) sum += values[i] * values[i];
  for (float part : partial) sum += part;
  return sum;
}

// The lengths of a matrix's rows behind a prefix, and the largest length of a whole row.
struct Lengths {
  Lengths(const float* rows, int64_t count, int64_t d, int64_t padded) : rest(padded, 0.0f) {
    for (int64_t row = 0; row < count; ++row) {
      const float front = squared_length(rows + row * d, kPrefix);
      const float back = squared_length(rows + row * d + kPrefix, d - kPrefix);
      rest[row] = std::sqrt(back);
      longest = std::max(longest, std::sqrt(front + back));
    }
  }
  std::vector<float> rest;
  float longest = 0.0f;
};

}  // namespace

void match(const Kernels& kernels, const float* a, int64_t n, const float* b, int64_t k, int64_t d, float min_product,
           int threads, int32_t* best_of_a, float* similarity, int32_t* best_of_b) {
  const int64_t padded = (k + kColumnStep - 1) / kColumnStep * kColumnStep;
  Buffer panels;
  panels.resize(padded * d);
  pack(b, k, d, panels.data());
  int prefix = 0;
  float gate = min_product;
  std::vector<float> a_rest, b_rest;
  if (d >= 2 * kPrefix && min_product > 0.0f) {
    Lengths of_a(a, n, d, n), of_b(b, k, d, padded);
    const float largest = of_a.longest * of_b.longest;
    if (min_product >= kPruneFrom * largest) {
      prefix = kPrefix;
      gate = min_product - kRounding * largest;
      a_rest = std::move(of_a.rest);
      b_rest = std::move(of_b.rest);
    }
  }
  const int wanted = static_cast<int>(std::clamp<int64_t>(threads, 1, (n + 63) / 64));
  const int64_t rows = ((n + wanted - 1) / wanted + kRowStep - 1) / kRowStep * kRowStep;
  const int parts = static_cast<int>((n + rows - 1) / rows);
  std::vector<std::vector<float>> column_best(parts);
  std::vector<std::vector<int32_t>> column_index(parts);
  ThreadPool pool(parts);
  pool.run(parts, [&](int part, int) {
    const int64_t first = part * rows, count = std::min(rows, n - first);
    column_best[part].assign(padded, kNothing);
    column_index[part].assign(padded, 0);
    kernels.match({a + first * d, static_cast<int>(first), static_cast<int>(count), b, panels.data(),
                   static_cast<int>(k), static_cast<int>(d), prefix, gate, a_rest.data() + (prefix ? first : 0),
                   b_rest.data(), similarity + first, best_of_a + first, column_best[part].data(),
                   column_index[part].data()});
  });
  for (int64_t row = 0; row < n; ++row) {
    if (similarity[row] >= min_product) continue;
    similarity[row] = kNothing;
    best_of_a[row] = -1;
  }
  // Parts in the order of their rows, strictly greater: the first of equals stays.
  for (int64_t column = 0; column < k; ++column) {
    float best = kNothing;
    best_of_b[column] = -1;
    for (int part = 0; part < parts; ++part) {
      const float value = column_best[part][column];
      if (!(value > best) || !(value >= min_product)) continue;
      best = value;
      best_of_b[column] = column_index[part][column];
    }
  }
}

}  // namespace aliked_cpu
