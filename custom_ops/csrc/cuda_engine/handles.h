// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA's streams, events and graphs, destroyed with their owners.
#pragma once

#include <utility>

#include "arena.h"

namespace aliked_cuda {

// Makes a device the calling thread's current one for a while.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    check(cudaGetDevice(&previous_), "while the current device was asked for");
    check(cudaSetDevice(device), "while the device was chosen");
  }
  ~OnDevice() { cudaSetDevice(previous_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int previous_ = 0;
};

// A stream that does not wait for the default one.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "while a stream was made"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }  // NOLINT(google-explicit-constructor): it is one
  void wait() const { check(cudaStreamSynchronize(stream_), "while the device worked"); }
  void wait_quietly() const { cudaStreamSynchronize(stream_); }  // where nobody could do anything about an error

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    check(cudaEventCreateWithFlags(&event_, flags), "while an event was made");
  }
  ~Event() {
    if (event_) cudaEventDestroy(event_);
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }  // NOLINT(google-explicit-constructor)
  void record(cudaStream_t stream) const { check(cudaEventRecord(event_, stream), "while an event was recorded"); }
  void wait() const { check(cudaEventSynchronize(event_), "while the device worked"); }

 private:
  cudaEvent_t event_ = nullptr;
};

// What a stream was given, to be given to it again in one call.
class Graph {
 public:
  Graph() = default;
  // Captures what `enqueue` queues on the stream.
  template <typename F>
  Graph(cudaStream_t stream, const F& enqueue) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "while a graph was begun");
    cudaGraph_t graph = nullptr;
    try {
      enqueue();
    } catch (...) {
      if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "while a graph was ended");
    const cudaError_t error = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check(error, "while a graph was made");
  }
  ~Graph() {
    if (executable_) cudaGraphExecDestroy(executable_);
  }
  Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(executable_, other.executable_);
    return *this;
  }
  explicit operator bool() const { return executable_ != nullptr; }
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream), "while a frame was started"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace aliked_cuda
