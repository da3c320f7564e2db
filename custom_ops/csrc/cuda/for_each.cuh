// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// One kernel for every functor, and one switch from a run-time type to a compile-time one.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "half.cuh"
#include "launchers.h"

namespace aliked_ops::cuda {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 1 << 20;  // more work than this many blocks hold is done in further rounds

template <typename Index, typename Functor>
__global__ void __launch_bounds__(kThreads) for_each_kernel(Functor functor, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    functor(static_cast<Index>(i));
  }
}

// Calls functor(i) for i in [0, functor.count()) on the stream; returns the launch's error.
template <typename Functor>
cudaError_t for_each(const Functor& functor, cudaStream_t stream) {
  const int64_t count = functor.count();
  if (count <= 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>((count + kThreads - 1) / kThreads, kMaxBlocks));
  // Division of 32-bit indices is several times faster, and nearly every map is small enough.
  if (count <= std::numeric_limits<int32_t>::max()) {
    for_each_kernel<int32_t><<<blocks, kThreads, 0, stream>>>(functor, count);
  } else {
    for_each_kernel<int64_t><<<blocks, kThreads, 0, stream>>>(functor, count);
  }
  return cudaGetLastError();
}

template <typename T>
struct Tag {
  using Type = T;
};

// Calls visitor(Tag<T>()) for the T that the run-time type stands for.
template <typename Visitor>
cudaError_t dispatch(DType dtype, const Visitor& visitor) {
  switch (dtype) {
    case DType::kHalf:
      return visitor(Tag<__half>());
    case DType::kBFloat16:
      return visitor(Tag<__nv_bfloat16>());
    case DType::kFloat:
      return visitor(Tag<float>());
    case DType::kDouble:
      return visitor(Tag<double>());
  }
  return cudaErrorInvalidValue;
}

}  // namespace aliked_ops::cuda
