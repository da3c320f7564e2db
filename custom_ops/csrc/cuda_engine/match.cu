// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Mutual nearest neighbours of an image's descriptors and those of an earlier one, both of which are on the device.
// Descriptors are sums of two float16 numbers, good to 2^-25 for unit vectors, so that the pairs are those that a
// processor finds in float32.
#include "kernels.h"

namespace aliked_cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kRows = 16 * kWarps, kColumns = 64;  // of a block's part of the products

// Orders products, and of equal ones the first row or column before others; 0 is below all.
__device__ __forceinline__ uint64_t key_of(float product, int index) {
  const uint32_t bits = __float_as_uint(product);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | (0xFFFFFFFFu - static_cast<uint32_t>(index));
}
__device__ __forceinline__ int index_of(uint64_t key) {
  return static_cast<int>(0xFFFFFFFFu - static_cast<uint32_t>(key));
}
__device__ __forceinline__ float product_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7FFFFFFFu : ~ordered);
}

__device__ __forceinline__ uint64_t shuffle_xor(uint64_t value, int lanes) {
  const unsigned low = __shfl_xor_sync(~0u, static_cast<unsigned>(value), lanes);
  const unsigned high = __shfl_xor_sync(~0u, static_cast<unsigned>(value >> 32), lanes);
  return static_cast<uint64_t>(high) << 32 | low;
}

__device__ __forceinline__ uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

__device__ __forceinline__ void raise(uint64_t* best, uint64_t key) {
  atomicMax(reinterpret_cast<unsigned long long*>(best), static_cast<unsigned long long>(key));
}

// Eight numbers of a descriptor: which of a product's inputs they are does not matter, as long as they are the same of
// both factors.
struct Part {
  uint4 high, low;
};
struct Side {
  const __half *high, *low;  // of a slot
  __device__ __forceinline__ Part load(int offset) const {
    return {*reinterpret_cast<const uint4*>(high + offset), *reinterpret_cast<const uint4*>(low + offset)};
  }
};

__device__ __forceinline__ void add_products(Sums& sums, const uint4& row, const uint4& row_8, const uint4& column) {
  const uint32_t rows[2][4] = {{row.x, row_8.x, row.y, row_8.y}, {row.z, row_8.z, row.w, row_8.w}};
  const uint32_t columns[2][2] = {{column.x, column.y}, {column.z, column.w}};
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) multiply_16x8x16<__half>(sums.values, rows[tile], columns[tile]);
}

template <int D>
__global__ void __launch_bounds__(kThreads) products_kernel(Sizes sizes, MatchMaps maps) {
  const int batch = blockIdx.z, lane = lane_id(), group = lane / 4, pair = lane % 4 * 2;
  const FrameParameters& parameters = maps.parameters[batch];
  if (parameters.reference_slot < 0) return;
  const int count = maps.ring_counts[parameters.own_slot], count_ref = maps.ring_counts[parameters.reference_slot];
  const int first_row = blockIdx.y * kRows + warp_id() * 16, first_column = blockIdx.x * kColumns;
  if (first_row >= count || first_column >= count_ref) return;
  const int64_t slot = static_cast<int64_t>(sizes.capacity) * D;
  const Side own = {maps.ring_high + parameters.own_slot * slot, maps.ring_low + parameters.own_slot * slot};
  const Side reference = {maps.ring_high + parameters.reference_slot * slot,
                          maps.ring_low + parameters.reference_slot * slot};
  const int row = min(first_row + group, count - 1) * D, row_8 = min(first_row + group + 8, count - 1) * D;
  Sums sums[kColumns / 8] = {};
#pragma unroll
  for (int k = 0; k < D; k += 32) {
    const int at = k + lane % 4 * 8;
    const Part rows = own.load(row + at), rows_8 = own.load(row_8 + at);
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
      const Part column = reference.load(min(first_column + n * 8 + group, count_ref - 1) * D + at);
      add_products(sums[n], rows.low, rows_8.low, column.high);
      add_products(sums[n], rows.high, rows_8.high, column.low);
      add_products(sums[n], rows.high, rows_8.high, column.high);
    }
  }
  uint64_t best_of_row[2] = {0, 0};
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
    uint64_t best_of_column[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at_row = first_row + group + i / 2 * 8, at_column = first_column + n * 8 + pair + i % 2;
      if (at_row >= count || at_column >= count_ref) continue;
      best_of_row[i / 2] = larger(best_of_row[i / 2], key_of(sums[n].values[i], at_column));
      best_of_column[i % 2] = larger(best_of_column[i % 2], key_of(sums[n].values[i], at_row));
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      uint64_t best = best_of_column[i];
      for (int step = 4; step < 32; step *= 2) best = larger(best, shuffle_xor(best, step));
      const int column = first_column + n * 8 + pair + i;
      if (group == 0 && column < count_ref) raise(maps.best_of_column + batch * sizes.capacity + column, best);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint64_t best = best_of_row[half];
    for (int step = 1; step < 4; step *= 2) best = larger(best, shuffle_xor(best, step));
    const int at_row = first_row + group + 8 * half;
    if (lane % 4 == 0 && at_row < count) raise(maps.best_of_row + batch * sizes.capacity + at_row, best);
  }
}

__global__ void __launch_bounds__(kThreads) partners_kernel(Sizes sizes, MatchMaps maps) {
  const int batch = blockIdx.y, i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= sizes.capacity) return;
  const FrameParameters& parameters = maps.parameters[batch];
  const int64_t first = static_cast<int64_t>(batch) * sizes.capacity;
  int partner = -1;
  float product = 0;
  if (parameters.reference_slot >= 0 && i < maps.ring_counts[parameters.own_slot] &&
      maps.ring_counts[parameters.reference_slot] > 0) {
    const uint64_t best = maps.best_of_row[first + i];
    if (index_of(maps.best_of_column[first + index_of(best)]) == i) {
      partner = index_of(best);
      product = product_of(best);
    }
  }
  maps.partners[first + i] = partner;
  maps.similarities[first + i] = product;
}

}  // namespace

cudaError_t match(const Launcher& launcher, const Sizes& sizes, int dim, const MatchMaps& maps) {
  const unsigned rows = (sizes.capacity + kRows - 1) / kRows, columns = (sizes.capacity + kColumns - 1) / kColumns;
  const unsigned each = sizes.capacity;
  const dim3 grid(columns, rows, sizes.batch);
  const cudaError_t error = launcher("match.products", dim == 128 ? products_kernel<128> : products_kernel<64>, grid,
                                     kThreads, 0, sizes, maps);
  if (error != cudaSuccess) return error;
  return launcher("match.partners", partners_kernel, dim3((each + kThreads - 1) / kThreads, sizes.batch), kThreads, 0,
                  sizes, maps);
}

}  // namespace aliked_cuda
