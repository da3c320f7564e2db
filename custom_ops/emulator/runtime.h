// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA's runtime: memory, streams and graphs.
#pragma once

#include "launch.h"

enum cudaMemcpyKind : int {
  cudaMemcpyHostToHost = 0,
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4,
};
constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;
constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2,
                   cudaHostAllocWriteCombined = 4;

namespace emulator {

inline cudaError_t synchronising() {
  return result(may_synchronise() ? cudaSuccess : cudaErrorStreamCaptureUnsupported);
}

template <typename T>
cudaError_t allocate(T** pointer, size_t bytes, bool on_device) {
  if (pointer == nullptr) return result(cudaErrorInvalidValue);
  *pointer = nullptr;
  if (const cudaError_t error = synchronising()) return error;
  if (bytes == 0) return cudaSuccess;
  *pointer = static_cast<T*>(memory().allocate(bytes, on_device));
  return result(*pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}
inline cudaError_t release(void* pointer, bool on_device) {
  const bool known = pointer == nullptr || memory().free(pointer, on_device);
  return result(known ? cudaSuccess : cudaErrorInvalidValue);
}

}  // namespace emulator

template <typename T>
cudaError_t cudaMalloc(T** pointer, size_t bytes) {
  return emulator::allocate(pointer, bytes, true);
}
inline cudaError_t cudaFree(void* pointer) { return emulator::release(pointer, true); }
template <typename T>
cudaError_t cudaMallocHost(T** pointer, size_t bytes, unsigned = cudaHostAllocDefault) {
  return emulator::allocate(pointer, bytes, false);
}
template <typename T>
cudaError_t cudaHostAlloc(T** pointer, size_t bytes, unsigned) {
  return emulator::allocate(pointer, bytes, false);
}
inline cudaError_t cudaFreeHost(void* pointer) { return emulator::release(pointer, false); }
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = emulator::Memory::total();
  *free = *total - std::min(*total, emulator::memory().used());
  return emulator::result(cudaSuccess);
}

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream = nullptr) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (!emulator::memory().allows(to, bytes, to_device) || !emulator::memory().allows(from, bytes, from_device)) {
    return emulator::result(cudaErrorInvalidValue);
  }
  return emulator::enqueue(stream, [to, from, bytes] {
    if (bytes) std::memmove(to, from, bytes);
    return cudaSuccess;
  });
}
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind);
}
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream = nullptr) {
  if (!emulator::memory().allows(to, bytes, true)) return emulator::result(cudaErrorInvalidValue);
  return emulator::enqueue(stream, [to, value, bytes] {
    if (bytes) std::memset(to, value, bytes);
    return cudaSuccess;
  });
}
inline cudaError_t cudaMemset(void* to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes); }

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (const cudaError_t error = emulator::result(cudaSuccess)) return error;
  *stream = new emulator::Stream;
  emulator::Device& device = emulator::Device::get();
  const std::lock_guard<std::mutex> lock(device.mutex);
  device.streams.insert(*stream);
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    emulator::Device& device = emulator::Device::get();
    const std::lock_guard<std::mutex> lock(device.mutex);
    if (device.streams.erase(stream) == 0) return emulator::result(cudaErrorInvalidResourceHandle);
  }
  delete stream;
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t error = emulator::take_next_error()) return emulator::result(error);
  if (stream == nullptr) return emulator::synchronising();
  return emulator::result(stream->capture ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
inline cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }
inline cudaError_t cudaDeviceSynchronize() { return emulator::synchronising(); }

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const cudaError_t error = emulator::result(cudaSuccess)) return error;
  if (stream == nullptr || stream->capture != nullptr) return emulator::result(cudaErrorIllegalState);
  stream->capture = new emulator::Graph;
  stream->began_capture = true;
  stream->mode = mode;
  emulator::count_capture(mode, 1);
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream == nullptr || !stream->began_capture) return emulator::result(cudaErrorIllegalState);
  *graph = stream->capture;
  stream->began_capture = false;
  emulator::count_capture(stream->mode, -1);
  emulator::Device& device = emulator::Device::get();
  const std::lock_guard<std::mutex> lock(device.mutex);
  for (emulator::Stream* other : device.streams) {
    if (other->capture == *graph) other->capture = nullptr;
  }
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long = 0) {
  if (const cudaError_t error = emulator::result(cudaSuccess)) return error;
  *executable = new emulator::Graph(*graph);
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t error = emulator::take_next_error()) return emulator::result(error);
  return emulator::enqueue(stream, [executable] {
    for (const emulator::Operation& operation : executable->operations) {
      if (const cudaError_t error = operation()) return error;
    }
    return cudaSuccess;
  });
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return emulator::result(cudaSuccess);
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return emulator::result(cudaSuccess);
}
