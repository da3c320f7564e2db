// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA, or with ALIKED_EMULATE the emulator that stands for it on a processor, for tests. All that differs between
// the two is in this file.
#pragma once

#ifdef ALIKED_EMULATE
#include <cstring>

#include "cuda_emulator.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include <cstddef>
#include <cstdint>
#include <utility>

namespace aliked_cuda {

#ifdef ALIKED_EMULATE

inline unsigned char* dynamic_shared() { return emulator::dynamic_shared(); }

// a * b + c of two float16 numbers in each word, rounded once.
inline uint32_t multiply_add_halves(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const auto part = [shift](uint32_t word) { return __half2float({static_cast<uint16_t>(word >> shift)}); };
    const double exact = static_cast<double>(part(a)) * part(b) + part(c);
    result |= static_cast<uint32_t>(__float2half_rn(static_cast<float>(exact)).bits) << shift;
  }
  return result;
}

inline void load_matrices(uint32_t (&out)[4], const void* row) { emulator::load_matrices(out, row); }

template <typename T>
void multiply_16x8x16(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulator::mma_16x8x16<T>(sums, a, b);
}

inline void multiply_16x8x8(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulator::mma_16x8x8_tf32(sums, a, b);
}

#else

__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char memory[];
  return memory;
}

// a * b + c of two float16 numbers in each word, rounded once.
__device__ __forceinline__ uint32_t multiply_add_halves(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}

// Four 8x8 matrices of 16-bit elements from shared memory; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&out)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

// sums (16, 8) += a (16, 16) * b (16, 8) in a warp, with the fragments of PTX's mma.m16n8k16.
template <typename T>
__device__ __forceinline__ void multiply_16x8x16(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

template <>
__device__ __forceinline__ void multiply_16x8x16<__half>(float (&sums)[4], const uint32_t (&a)[4],
                                                         const uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  for (int half = 0; half < 2; ++half) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
  }
#endif
}

template <>
__device__ __forceinline__ void multiply_16x8x16<__nv_bfloat16>(float (&sums)[4], const uint32_t (&a)[4],
                                                                const uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();  // make_engine() refuses this precision before any launch
#endif
}

// The same of (16, 8) * (8, 8), with the fragments of mma.m16n8k8 for tf32: ten bits after the point of each factor.
__device__ __forceinline__ void multiply_16x8x8(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();  // make_engine() refuses this precision before any launch
#endif
}

#endif

// Where and how kernels run.
struct Launcher {
  cudaStream_t stream = nullptr;

  template <typename... P, typename... A>
  cudaError_t operator()(const char* name, void (*kernel)(P...), dim3 grid, unsigned threads, size_t shared_bytes,
                         A&&... arguments) const {
    constexpr size_t kDefaultShared = 48 * 1024;
    if (shared_bytes > kDefaultShared) {
      const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                     static_cast<int>(shared_bytes));
      if (error != cudaSuccess) return error;
    }
#ifdef ALIKED_EMULATE
    return emulator::launch(name, kernel, grid, threads, shared_bytes, stream, std::forward<A>(arguments)...);
#else
    (void)name;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, std::forward<A>(arguments)...);
#endif
  }
};

}  // namespace aliked_cuda
