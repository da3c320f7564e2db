// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Errors and memory: device memory begins as NaN, lies between guards, and may be limited.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "block.h"

#define ALIKED_EMULATOR_ERRORS(ERROR)                                                                           \
  ERROR(cudaSuccess, 0, "no error")                                                                             \
  ERROR(cudaErrorInvalidValue, 1, "invalid argument")                                                           \
  ERROR(cudaErrorMemoryAllocation, 2, "out of memory")                                                          \
  ERROR(cudaErrorInitializationError, 3, "initialization error")                                                \
  ERROR(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                                     \
  ERROR(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version")        \
  ERROR(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")                   \
  ERROR(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                                          \
  ERROR(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                           \
  ERROR(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                                  \
  ERROR(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available for execution on the device")       \
  ERROR(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                                  \
  ERROR(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                                         \
  ERROR(cudaErrorIllegalState, 401, "the operation cannot be performed in the present state")                   \
  ERROR(cudaErrorNotReady, 600, "device not ready")                                                             \
  ERROR(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                               \
  ERROR(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")                          \
  ERROR(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                                 \
  ERROR(cudaErrorMisalignedAddress, 716, "misaligned address")                                                  \
  ERROR(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                              \
  ERROR(cudaErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing")             \
  ERROR(cudaErrorCapturedEvent, 907, "operation not permitted on an event last recorded in a capturing stream") \
  ERROR(cudaErrorUnknown, 999, "unknown error")

enum cudaError : int {
#define ALIKED_EMULATOR_ENUMERATOR(name, value, text) name = value,
  ALIKED_EMULATOR_ERRORS(ALIKED_EMULATOR_ENUMERATOR)
#undef ALIKED_EMULATOR_ENUMERATOR
};
using cudaError_t = cudaError;

inline const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define ALIKED_EMULATOR_NAME(name, value, text) \
  case name:                                    \
    return #name;
    ALIKED_EMULATOR_ERRORS(ALIKED_EMULATOR_NAME)
#undef ALIKED_EMULATOR_NAME
  }
  return "unrecognized error code";
}
inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define ALIKED_EMULATOR_TEXT(name, value, text) \
  case name:                                    \
    return text;
    ALIKED_EMULATOR_ERRORS(ALIKED_EMULATOR_TEXT)
#undef ALIKED_EMULATOR_TEXT
  }
  return "unrecognized error code";
}
#undef ALIKED_EMULATOR_ERRORS

namespace emulator {

ALIKED_EMULATOR_OWN inline std::atomic<cudaError_t> lost_error{cudaSuccess};
ALIKED_EMULATOR_OWN inline std::atomic<cudaError_t> next_error{cudaSuccess};
ALIKED_EMULATOR_THREAD_LOCAL cudaError_t last_error = cudaSuccess;

// Whether a device that gave this error can do nothing more.
inline bool is_lasting(cudaError_t error) {
  return error == cudaErrorECCUncorrectable || error == cudaErrorIllegalAddress || error == cudaErrorLaunchTimeout ||
         error == cudaErrorMisalignedAddress || error == cudaErrorLaunchFailure || error == cudaErrorUnknown;
}

// What a call returns that would have returned error.
inline cudaError_t result(cudaError_t error) {
  if (is_lasting(error)) lost_error = error;
  if (lost_error != cudaSuccess) error = lost_error;
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

// Makes the next launch, of a kernel or a graph, or the next wait for a stream or an event return the error.
inline void fail_next(cudaError_t error) { next_error = error; }
inline cudaError_t take_next_error() { return next_error.exchange(cudaSuccess); }

// All memory that the runtime handed out.
class Memory {
 public:
  // Null where there is none left.
  void* allocate(size_t bytes, bool on_device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (on_device && (bytes > total() || used_ > total() - bytes)) return nullptr;
    const size_t padded = (bytes + kGuardBytes - 1) / kGuardBytes * kGuardBytes + 2 * kGuardBytes;
    if (padded < bytes) return nullptr;
    unsigned char* block = static_cast<unsigned char*>(std::aligned_alloc(kGuardBytes, padded));
    if (block == nullptr) return nullptr;
    unsigned char* data = block + kGuardBytes;
    std::memset(block, kGuard, kGuardBytes);
    std::memset(data, kPoison, bytes);
    std::memset(data + bytes, kGuard, kGuardBytes);
    allocations_[data] = {bytes, on_device};
    if (on_device) used_ += bytes;
    return data;
  }
  // False for what was not allocated so.
  bool free(void* pointer, bool on_device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = allocations_.find(static_cast<unsigned char*>(pointer));
    if (found == allocations_.end() || found->second.on_device != on_device) return false;
    check(found->first, found->second, "cudaFree");
    if (on_device) used_ -= found->second.bytes;
    std::memset(found->first, kPoison, found->second.bytes);
    std::free(found->first - kGuardBytes);
    allocations_.erase(found);
    return true;
  }
  void check_guards(const char* kernel) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& entry : allocations_) check(entry.first, entry.second, kernel);
  }
  // Whether a range lies in one allocation of the device, or may be the host's.
  bool allows(const void* pointer, size_t bytes, bool on_device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    unsigned char* address = static_cast<unsigned char*>(const_cast<void*>(pointer));
    auto next = allocations_.upper_bound(address);
    if (next == allocations_.begin()) return !on_device;
    --next;
    const size_t offset = static_cast<size_t>(address - next->first);
    if (offset > next->second.bytes) return !on_device;
    return bytes <= next->second.bytes - offset && (!on_device || next->second.on_device);
  }
  size_t used() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return used_;
  }
  static size_t total() {
    const char* megabytes = std::getenv("ALIKED_EMULATOR_MEMORY_MB");
    return static_cast<size_t>(megabytes ? std::strtoull(megabytes, nullptr, 10) : 16384) << 20;
  }

 private:
  struct Allocation {
    size_t bytes;
    bool on_device;
  };
  static void check(const unsigned char* data, const Allocation& allocation, const char* kernel) {
    const bool before = guard_intact(data - kGuardBytes), behind = guard_intact(data + allocation.bytes);
    if (before && behind) return;
    std::fprintf(stderr, "emulator: %s: something wrote %s an allocation of %zu bytes\n", kernel,
                 before ? "behind" : "before", allocation.bytes);
    std::abort();
  }

  std::mutex mutex_;
  std::map<unsigned char*, Allocation> allocations_;
  size_t used_ = 0;
};

// Never destroyed, as other static objects may still use it.
ALIKED_EMULATOR_OWN inline Memory& memory() {
  static Memory* const all = new Memory;
  return *all;
}

}  // namespace emulator

extern "C" {
__attribute__((weak, visibility("default"))) void aliked_emulator_fail_next(int error) {
  emulator::fail_next(static_cast<cudaError_t>(error));
}
// Makes a lost device work again.
__attribute__((weak, visibility("default"))) void aliked_emulator_reset() {
  emulator::lost_error = emulator::next_error = emulator::last_error = cudaSuccess;
}
}
