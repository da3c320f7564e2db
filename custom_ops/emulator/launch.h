// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Streams, captured graphs, and launches of kernels. Work runs at once, or when a graph that captured it is launched.
#pragma once

#include <cstdlib>
#include <functional>
#include <set>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "memory.h"

enum cudaStreamCaptureMode : int {
  cudaStreamCaptureModeGlobal = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed = 2,
};

namespace emulator {

using Operation = std::function<cudaError_t()>;

struct Graph {
  std::vector<Operation> operations;
};

struct Stream {
  Graph* capture = nullptr;
  bool began_capture = false;  // false where the stream joined another one's by waiting for an event
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
};

constexpr size_t kSharedBytes = 48 << 10, kMaxSharedBytes = 101376;

// What the process has of streams, threads and settings of kernels. Never destroyed.
class Device {
 public:
  std::mutex mutex;
  std::set<Stream*> streams;
  std::map<const void*, size_t> shared_limits;
  std::atomic<int> global_captures{0};  // during which no thread may make a call that synchronises

  ALIKED_EMULATOR_OWN static Device& get() {
    static Device* const device = new Device;
    return *device;
  }
  void run(const Kernel& kernel);

 private:
  std::unique_ptr<Worker> take_worker() {
    const std::lock_guard<std::mutex> lock(workers_mutex_);
    if (workers_.empty()) return std::make_unique<Worker>();
    std::unique_ptr<Worker> worker = std::move(workers_.back());
    workers_.pop_back();
    return worker;
  }
  void give_back(std::unique_ptr<Worker> worker) {
    const std::lock_guard<std::mutex> lock(workers_mutex_);
    workers_.push_back(std::move(worker));
  }

  std::mutex workers_mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// Those of this thread, during which it may not.
ALIKED_EMULATOR_THREAD_LOCAL int own_captures = 0;

inline bool may_synchronise() { return Device::get().global_captures == 0 && own_captures == 0; }

inline void count_capture(cudaStreamCaptureMode mode, int change) {
  if (mode == cudaStreamCaptureModeGlobal) Device::get().global_captures += change;
  if (mode == cudaStreamCaptureModeThreadLocal) own_captures += change;
}

inline unsigned thread_count() {
  const char* threads = std::getenv("ALIKED_EMULATOR_THREADS");
  const unsigned count = threads ? static_cast<unsigned>(std::strtoul(threads, nullptr, 10)) : 0;
  return count ? count : std::min(16u, std::max(1u, std::thread::hardware_concurrency()));
}

// Runs all blocks of a launch; threads take them in the order of their indices.
inline void Device::run(const Kernel& kernel) {
  const unsigned blocks = kernel.grid.x * kernel.grid.y * kernel.grid.z;
  std::atomic<unsigned> next{0};
  const auto work = [this, &kernel, &next, blocks] {
    std::unique_ptr<Worker> worker = take_worker();
    worker->begin(kernel);
    for (unsigned block = next++; block < blocks; block = next++) worker->run_block(block);
    worker->end();
    give_back(std::move(worker));
  };
  std::vector<std::thread> others;
  for (unsigned thread = 1; thread < std::min(blocks, thread_count()); ++thread) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  memory().check_guards(kernel.name);
}

// Does the operation, or records it where the stream is being captured.
inline cudaError_t enqueue(Stream* stream, Operation operation) {
  if (lost_error != cudaSuccess) return result(lost_error);
  if (stream != nullptr && stream->capture != nullptr) {
    stream->capture->operations.push_back(std::move(operation));
    return cudaSuccess;
  }
  // The default stream waits for the others, which a capture does not allow.
  if (stream == nullptr && !may_synchronise()) return result(cudaErrorStreamCaptureUnsupported);
  return result(operation());
}

// Runs kernel<<<grid, threads, shared_bytes, stream>>>(arguments...).
template <typename... P, typename... A>
cudaError_t launch(const char* name, void (*kernel)(P...), dim3 grid, unsigned threads, size_t shared_bytes,
                   Stream* stream, A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "as many arguments as parameters");
  static_assert((true && ... && (std::is_trivially_copyable<P>::value && !std::is_reference<P>::value)),
                "parameters are copied to the device byte by byte");
  static_assert((size_t{0} + ... + sizeof(P)) <= 4096, "parameters have 4 KiB");
  if (const cudaError_t error = take_next_error()) return result(error);
  if (threads == 0 || threads > kMaxThreads || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffff ||
      grid.y > 65535 || grid.z > 65535) {
    return result(cudaErrorInvalidConfiguration);
  }
  if (threads > kLanes && threads % kLanes != 0) {
    std::fprintf(stderr, "emulator: kernel %s: %u threads are not whole warps\n", name, threads);
    std::abort();
  }
  Device& device = Device::get();
  {
    const std::lock_guard<std::mutex> lock(device.mutex);
    const auto limit = device.shared_limits.find(reinterpret_cast<const void*>(kernel));
    if (shared_bytes > (limit == device.shared_limits.end() ? kSharedBytes : limit->second)) {
      return result(cudaErrorInvalidValue);
    }
  }
  using Arguments = std::pair<void (*)(P...), std::tuple<P...>>;
  const Arguments call(kernel, std::tuple<P...>(std::forward<A>(arguments)...));
  return enqueue(stream, [name, grid, threads, shared_bytes, call] {
    const auto run = [](const void* pointer) {
      const Arguments& own = *static_cast<const Arguments*>(pointer);
      std::apply(own.first, own.second);
    };
    Device::get().run(Kernel{name, run, &call, grid, threads, shared_bytes});
    return cudaSuccess;
  });
}

}  // namespace emulator

using cudaStream_t = emulator::Stream*;
using cudaGraph_t = emulator::Graph*;
using cudaGraphExec_t = const emulator::Graph*;
