// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA's runtime: events, and what the device is.
#pragma once

#include <chrono>

#include "runtime.h"

constexpr unsigned cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2;
constexpr unsigned cudaEventRecordDefault = 0, cudaEventRecordExternal = 1;
enum cudaDeviceAttr : int {
  cudaDevAttrMaxThreadsPerBlock = 1,
  cudaDevAttrMaxSharedMemoryPerBlock = 8,
  cudaDevAttrWarpSize = 10,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
enum cudaFuncAttribute : int {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9,
};

namespace emulator {

struct Event {
  std::chrono::steady_clock::time_point time;
  bool recorded = false, timed = true;
  Graph* capture = nullptr;  // the graph that the event orders work in, where a captured stream recorded it last
};

inline cudaError_t state(const Event& event) {
  if (event.capture != nullptr) return result(cudaErrorCapturedEvent);
  return result(take_next_error());
}

}  // namespace emulator

using cudaEvent_t = emulator::Event*;

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (const cudaError_t error = emulator::result(cudaSuccess)) return error;
  *event = new emulator::Event;
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return emulator::result(cudaSuccess);
}
// On a captured stream an event orders work of the graph and has no time of its own, unless the flags say external.
inline cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  if (flags != cudaEventRecordExternal && stream != nullptr && stream->capture != nullptr) {
    event->capture = stream->capture;
    return emulator::result(cudaSuccess);
  }
  event->capture = nullptr;
  return emulator::enqueue(stream, [event] {
    event->time = std::chrono::steady_clock::now();
    event->recorded = true;
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr) {
  return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) { return emulator::state(*event); }
inline cudaError_t cudaEventQuery(cudaEvent_t event) { return emulator::state(*event); }
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (start->capture != nullptr || end->capture != nullptr) return emulator::result(cudaErrorCapturedEvent);
  if (!start->recorded || !end->recorded || !start->timed || !end->timed) {
    return emulator::result(cudaErrorInvalidResourceHandle);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return emulator::result(cudaSuccess);
}
// A stream that waits for an event of a capture joins it.
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned = 0) {
  if (event->capture != nullptr) {
    if (stream == nullptr || (stream->capture != nullptr && stream->capture != event->capture)) {
      return emulator::result(cudaErrorStreamCaptureUnsupported);
    }
    stream->capture = event->capture;
  }
  return emulator::result(cudaSuccess);
}

inline cudaError_t cudaPeekAtLastError() {
  const cudaError_t lost = emulator::lost_error;
  return lost != cudaSuccess ? lost : emulator::last_error;
}
inline cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  emulator::last_error = cudaSuccess;
  return error;
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaSetDevice(int device) {
  return emulator::result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return emulator::result(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = emulator::kMaxThreads;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = emulator::kSharedBytes;
      break;
    case cudaDevAttrWarpSize:
      *value = emulator::kLanes;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = 4;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 8;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = emulator::kMaxSharedBytes;
      break;
    default:
      *value = 0;
  }
  return emulator::result(cudaSuccess);
}
template <typename... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value) {
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value < 0 || static_cast<size_t>(value) > emulator::kMaxSharedBytes) {
      return emulator::result(cudaErrorInvalidValue);
    }
    emulator::Device& device = emulator::Device::get();
    const std::lock_guard<std::mutex> lock(device.mutex);
    device.shared_limits[reinterpret_cast<const void*>(kernel)] = static_cast<size_t>(value);
  }
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = 12000;
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 12000;
  return emulator::result(cudaSuccess);
}
