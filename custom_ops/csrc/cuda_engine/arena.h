// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Memory of the device and of the host that it copies from, and how a block of it is divided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "platform.cuh"

namespace aliked_cuda {

// What CUDA refused, and where.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const std::string& what)
      : std::runtime_error("CUDA error: " + std::string(cudaGetErrorString(code)) + " (" + cudaGetErrorName(code) +
                           ") " + what),
        code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // so that nobody else takes it for theirs
  throw CudaError(code, what);
}

// Our streams do not wait for the default one, on which memory is filled: whoever has filled some waits.
inline cudaError_t wait_for_default_stream() { return cudaStreamSynchronize(nullptr); }

// Divides memory into aligned arrays. Without a beginning it only adds up, so that a division can be made twice: once
// to learn the size, once for the memory of that size.
class Arena {
 public:
  explicit Arena(void* begin = nullptr) : begin_(static_cast<unsigned char*>(begin)) {}

  template <typename T>
  T* take(int64_t count) {
    constexpr size_t kAlignment = 256;
    const size_t at = size_;
    size_ += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return begin_ ? reinterpret_cast<T*>(begin_ + at) : nullptr;
  }
  size_t size() const { return size_; }

 private:
  unsigned char* begin_;
  size_t size_ = 0;
};

// Memory of the device, all zeros at first.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(size_t bytes) : bytes_(bytes) {
    const std::string what = "for " + std::to_string(bytes >> 20) + " MiB of the device's memory";
    check(cudaMalloc(&data_, bytes), what.c_str());
    cudaError_t error = cudaMemset(data_, 0, bytes);
    if (error == cudaSuccess) error = wait_for_default_stream();
    if (error == cudaSuccess) return;
    cudaFree(data_);
    check(error, what.c_str());
  }
  ~DeviceMemory() {
    if (data_) cudaFree(data_);
  }
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  unsigned char* data() const { return static_cast<unsigned char*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void swap(DeviceMemory& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Memory of the host that the device copies from and to by itself.
class PinnedMemory {
 public:
  explicit PinnedMemory(size_t bytes) { check(cudaMallocHost(&data_, bytes), "for the host's memory of transfers"); }
  ~PinnedMemory() { cudaFreeHost(data_); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  unsigned char* data() const { return static_cast<unsigned char*>(data_); }

 private:
  void* data_ = nullptr;
};

}  // namespace aliked_cuda
