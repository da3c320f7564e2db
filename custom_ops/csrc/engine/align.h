// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Photometric alignment of patches around points.
#pragma once

#include "kernels.h"

namespace aliked_cpu {

// Aligns every point of the block; which thread does so never changes a result.
void align(const Kernels& kernels, const AlignBlock& points, int threads);

}  // namespace aliked_cpu
