// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Nearest neighbours by dot product, both ways at once.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace aliked_cpu {

// a (n, d), b (k, d), all positive sizes. best_of_a (n): the first row of b with the largest product, similarity (n)
// that product; best_of_b (k): the reverse. Products below min_product do not count: where none counts the row is -1 and
// the product -infinity. A high min_product makes the search faster.
void match(const Kernels& kernels, const float* a, int64_t n, const float* b, int64_t k, int64_t d, float min_product,
           int threads, int32_t* best_of_a, float* similarity, int32_t* best_of_b);

}  // namespace aliked_cpu
