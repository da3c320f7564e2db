// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The network's weights on the device: normalisation folded in, in the tiles that the kernels multiply by.
#pragma once

#include "arena.h"
#include "maps.h"
#include "numeric.cuh"

namespace aliked_cuda {

template <typename T>
struct DeviceWeights {
  Model model;
  WeightPointers<T, Head<T>> pointers;
  DeviceMemory memory;

  // Reads the checkpoint's tensors, one behind the other in the order of tensor_names() in aliked_ops.
  // Throws std::invalid_argument when their number of floats does not fit the model.
  DeviceWeights(const Model& model, const float* blob, int64_t count);
};

}  // namespace aliked_cuda
