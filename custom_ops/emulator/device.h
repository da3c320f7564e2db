// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA's functions of device code. Atomics are real ones, since blocks run on several processor threads.
#pragma once

#include <cmath>
#include <cstdint>

#include "block.h"

inline void __syncthreads() { emulator::current_worker->barrier(false); }
inline int __syncthreads_count(int predicate) {
  return static_cast<int>(emulator::current_worker->barrier(predicate != 0).yes);
}
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
inline int __syncthreads_and(int predicate) {
  const emulator::Worker::Votes votes = emulator::current_worker->barrier(predicate != 0);
  return votes.yes == votes.all;
}

inline void __syncwarp(unsigned mask = emulator::kAllLanes) {
  emulator::current_worker->meet(emulator::Collective::kSync, mask, [](emulator::Warp&) {});
}

namespace emulator {

inline void require_all_lanes(unsigned mask) {
  if (mask != kAllLanes) current_worker->fail("only __syncwarp may be called with less than the full mask");
}

// What source(lane) gave; lanes that the block does not have give nothing and a lane keeps its own value.
template <typename T, typename Source>
inline T shuffle(unsigned mask, T value, const Source& source) {
  static_assert(sizeof(T) == sizeof(uint32_t), "only 32-bit values are shuffled");
  require_all_lanes(mask);
  Worker& worker = *current_worker;
  Warp& warp = worker.warp();
  const unsigned lane = threadIdx.x % kLanes;
  warp.words[lane] = bit_cast<uint32_t>(value);
  worker.meet(Collective::kShuffle, mask,
              [](Warp& all) { std::memcpy(all.shuffled, all.words, sizeof(all.shuffled)); });
  const unsigned other = source(lane);
  return warp.threads >> other & 1 ? bit_cast<T>(warp.shuffled[other]) : value;
}

}  // namespace emulator

template <typename T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned size = static_cast<unsigned>(width);
  return emulator::shuffle(mask, value, [source, size](unsigned lane) {
    return (lane & ~(size - 1)) + (static_cast<unsigned>(source) & (size - 1));
  });
}
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const unsigned size = static_cast<unsigned>(width);
  return emulator::shuffle(mask, value, [lane_mask, size](unsigned lane) {
    const unsigned other = lane ^ static_cast<unsigned>(lane_mask);
    return other < (lane & ~(size - 1)) + size ? other : lane;
  });
}
template <typename T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned size = static_cast<unsigned>(width);
  return emulator::shuffle(mask, value, [delta, size](unsigned lane) {
    return (lane & (size - 1)) + delta < size ? lane + delta : lane;
  });
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned size = static_cast<unsigned>(width);
  return emulator::shuffle(mask, value,
                           [delta, size](unsigned lane) { return (lane & (size - 1)) >= delta ? lane - delta : lane; });
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  emulator::require_all_lanes(mask);
  emulator::Worker& worker = *emulator::current_worker;
  emulator::Warp& warp = worker.warp();
  warp.words[threadIdx.x % emulator::kLanes] = predicate != 0;
  worker.meet(emulator::Collective::kVote, mask, [](emulator::Warp& all) {
    all.votes = 0;
    for (unsigned lane = 0; lane < emulator::kLanes; ++lane) all.votes |= (all.words[lane] & 1) << lane;
    all.votes &= all.threads;
  });
  return warp.votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }

inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

namespace emulator {

// Replaces *address by update(*address) and returns what was there.
template <typename T, typename Update>
inline T atomic_update(T* address, const Update& update) {
  T old, changed;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  do {
    changed = update(old);
  } while (!__atomic_compare_exchange(address, &old, &changed, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  return old;
}

}  // namespace emulator

inline int atomicAdd(int* address, int value) { return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST); }
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}
inline unsigned long long atomicAdd(unsigned long long* address, unsigned long long value) {
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}
inline float atomicAdd(float* address, float value) {
  return emulator::atomic_update(address, [value](float old) { return old + value; });
}

#define ALIKED_EMULATOR_ATOMICS(T)                                                                           \
  inline T atomicMax(T* address, T value) {                                                                  \
    return emulator::atomic_update(address, [value](T old) { return old < value ? value : old; });           \
  }                                                                                                          \
  inline T atomicMin(T* address, T value) {                                                                  \
    return emulator::atomic_update(address, [value](T old) { return value < old ? value : old; });           \
  }                                                                                                          \
  inline T atomicExch(T* address, T value) { return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST); } \
  inline T atomicCAS(T* address, T expected, T value) {                                                      \
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
    return expected;                                                                                         \
  }
ALIKED_EMULATOR_ATOMICS(int)
ALIKED_EMULATOR_ATOMICS(unsigned)
ALIKED_EMULATOR_ATOMICS(unsigned long long)
#undef ALIKED_EMULATOR_ATOMICS
inline float atomicExch(float* address, float value) {
  return emulator::atomic_update(address, [value](float) { return value; });
}
inline unsigned atomicOr(unsigned* address, unsigned value) {
  return __atomic_fetch_or(address, value, __ATOMIC_SEQ_CST);
}
inline unsigned atomicAnd(unsigned* address, unsigned value) {
  return __atomic_fetch_and(address, value, __ATOMIC_SEQ_CST);
}

inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
inline int __clz(int value) { return value ? __builtin_clz(static_cast<unsigned>(value)) : 32; }
inline int __clzll(long long value) { return value ? __builtin_clzll(static_cast<unsigned long long>(value)) : 64; }
inline int __ffs(int value) { return __builtin_ffs(value); }

inline unsigned __float_as_uint(float value) { return emulator::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned value) { return emulator::bit_cast<float>(value); }
inline int __float_as_int(float value) { return emulator::bit_cast<int>(value); }
inline float __int_as_float(int value) { return emulator::bit_cast<float>(value); }

// glibc may declare __expf and rsqrtf itself.
inline float __expf(float value) noexcept { return std::exp(value); }
inline float rsqrtf(float value) noexcept { return 1 / std::sqrt(value); }
inline float __fdividef(float numerator, float denominator) { return numerator / denominator; }
inline float __frcp_rn(float value) { return 1 / value; }
inline float __fdiv_rn(float dividend, float divisor) { return dividend / divisor; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }

template <typename T>
inline T __ldg(const T* address) {
  return *address;
}
template <typename T>
inline T __ldcg(const T* address) {
  return *address;
}

#define ALIKED_EMULATOR_MIN_MAX(T)                           \
  inline constexpr T min(T a, T b) { return b < a ? b : a; } \
  inline constexpr T max(T a, T b) { return a < b ? b : a; }
ALIKED_EMULATOR_MIN_MAX(int)
ALIKED_EMULATOR_MIN_MAX(unsigned)
ALIKED_EMULATOR_MIN_MAX(long)
ALIKED_EMULATOR_MIN_MAX(unsigned long)
ALIKED_EMULATOR_MIN_MAX(long long)
ALIKED_EMULATOR_MIN_MAX(unsigned long long)
#undef ALIKED_EMULATOR_MIN_MAX
// Of a number and a NaN the number, as the device has it.
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
