// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Arithmetic shared by the CPU and the CUDA kernels. Free of torch and, for a host compiler, of CUDA.
#pragma once

#ifdef __CUDACC__
#define ALIKED_HD __host__ __device__ __forceinline__
#else
#define ALIKED_HD inline
#endif

namespace aliked_ops {

// How a stored number becomes the one that is computed with. csrc/cuda/half.cuh adds the half types.
template <typename T>
struct Numeric {
  using Real = T;
  static ALIKED_HD Real load(T value) { return value; }
  static ALIKED_HD T store(Real value) { return value; }
};

template <typename T>
using RealOf = typename Numeric<T>::Real;

}  // namespace aliked_ops
