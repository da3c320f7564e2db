// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// One block of threads: a fiber each, run warp by warp. A thread runs until it has to wait for others, then the next
// one of its warp that can go on does; the last to arrive does the common work and goes on at once. The order is always
// the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "fibers.h"
#include "types.h"

// Each shared library has variables of its own, even where the dynamic linker would make those of two one.
#define ALIKED_EMULATOR_OWN __attribute__((visibility("hidden")))
#define ALIKED_EMULATOR_THREAD_LOCAL inline thread_local ALIKED_EMULATOR_OWN __attribute__((tls_model("initial-exec")))

ALIKED_EMULATOR_THREAD_LOCAL uint3 threadIdx = {0, 0, 0};
ALIKED_EMULATOR_THREAD_LOCAL uint3 blockIdx = {0, 0, 0};
ALIKED_EMULATOR_THREAD_LOCAL dim3 blockDim = dim3();
ALIKED_EMULATOR_THREAD_LOCAL dim3 gridDim = dim3();

namespace emulator {

constexpr unsigned kLanes = 32, kMaxThreads = 1024;
constexpr uint32_t kAllLanes = ~0u;
constexpr size_t kGuardBytes = 256;
constexpr int kPoison = 0xff, kGuard = 0xa5;

inline bool guard_intact(const unsigned char* guard) {
  return std::all_of(guard, guard + kGuardBytes, [](unsigned char byte) { return byte == kGuard; });
}

// What a launch asks for.
struct Kernel {
  const char* name;
  void (*run)(const void* arguments);  // one thread
  const void* arguments;
  dim3 grid;
  unsigned threads;
  size_t shared_bytes;
};

enum class Collective : uint8_t { kSync, kShuffle, kVote, kLoad, kMmaHalf, kMmaBfloat16, kMmaTf32 };

struct alignas(64) Warp {
  uint32_t threads;  // lanes that the block has
  uint32_t exited;
  uint32_t ready;    // lanes that can go on, the running one with them
  uint32_t waiting;  // lanes that wait in a collective
  uint32_t wanted;   // lanes that those wait for
  Collective kinds[kLanes];
  // Given by each lane and taken by each; a collective ends before any lane gives for the next one.
  uint32_t words[kLanes], shuffled[kLanes];
  uint32_t votes;
  const void* rows[kLanes];
  uint32_t loaded[4][kLanes];
  alignas(64) uint32_t a[16][8], b[8][8];
  alignas(64) float d[16][8], product[16][8];
};

// Runs blocks, one after the other.
class Worker {
 public:
  Worker() : stacks_(kMaxThreads) {}

  void begin(const Kernel& kernel) {
    kernel_ = &kernel;
    if (kernel.shared_bytes > shared_capacity_ || !shared_) {
      shared_capacity_ = std::max<size_t>(kernel.shared_bytes, 48 << 10);
      const size_t bytes = shared_capacity_ + 2 * kGuardBytes + 128;
      shared_.reset(static_cast<unsigned char*>(std::aligned_alloc(128, bytes / 128 * 128)));
    }
  }
  void run_block(unsigned index);
  void end() {
    if (!stacks_.intact(kernel_->threads)) fail("a thread's stack overflowed");
  }

  unsigned char* shared() { return shared_.get() + kGuardBytes; }
  size_t shared_bytes() const { return kernel_->shared_bytes; }
  Warp& warp() { return warps_[threadIdx.x / kLanes]; }

  // Waits for all lanes of the mask; the last one to arrive finishes before any goes on.
  template <typename Finish>
  void meet(Collective kind, uint32_t mask, const Finish& finish) {
    Warp& warp = this->warp();
    const unsigned lane = threadIdx.x % kLanes;
    const uint32_t lanes = mask & warp.threads;
    if ((lanes & warp.exited) || !(lanes >> lane & 1)) fail_meeting(lanes);
    warp.kinds[lane] = kind;
    warp.waiting |= 1u << lane;
    if ((warp.waiting & lanes) != lanes) {
      warp.wanted |= lanes;
      warp.ready &= ~(1u << lane);
      give_way();
      return;
    }
    if (!same_kinds(warp, lanes, kind)) fail("lanes of a warp meet in different collectives");
    finish(warp);
    warp.waiting &= ~lanes;
    warp.wanted &= ~lanes;
    warp.ready |= lanes;
  }
  // Waits for all threads of the block that have not left it; how many of them voted, and how many there were.
  struct Votes {
    unsigned yes, all;
  };
  Votes barrier(bool vote);

  [[noreturn]] void fail(const char* problem) const {
    std::fprintf(stderr, "emulator: kernel %s, block (%u, %u, %u), thread %u: %s\n", kernel_->name, blockIdx.x,
                 blockIdx.y, blockIdx.z, threadIdx.x, problem);
    std::abort();
  }

 private:
  struct Free {
    void operator()(unsigned char* memory) const { std::free(memory); }
  };

  static void thread_entry();
  static bool same_kinds(const Warp& warp, uint32_t lanes, Collective kind) {
    if (lanes == kAllLanes) {
      uint64_t kinds[kLanes / 8];
      std::memcpy(kinds, warp.kinds, sizeof(kinds));
      const uint64_t expected = 0x0101010101010101u * static_cast<uint64_t>(kind);
      return kinds[0] == expected && kinds[1] == expected && kinds[2] == expected && kinds[3] == expected;
    }
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if ((lanes >> lane & 1) && warp.kinds[lane] != kind) return false;
    }
    return true;
  }
  [[noreturn]] void fail_meeting(uint32_t lanes) const {
    const bool own = lanes >> (threadIdx.x % kLanes) & 1;
    fail(own ? "waits in a warp collective for a lane that has left" : "is not in the mask of its warp collective");
  }
  void give_way();
  void leave();
  void release_barrier();

  const Kernel* kernel_ = nullptr;
  Stacks stacks_;
  Context host_, contexts_[kMaxThreads];
  Warp warps_[kMaxThreads / kLanes];
  uint32_t ready_warps_ = 0;
  unsigned exited_ = 0, arrived_ = 0, votes_ = 0;
  Votes result_ = {0, 0};
  std::unique_ptr<unsigned char, Free> shared_;
  size_t shared_capacity_ = 0;
};

ALIKED_EMULATOR_THREAD_LOCAL Worker* current_worker = nullptr;

inline unsigned first_bit(uint32_t bits) { return static_cast<unsigned>(__builtin_ctz(bits)); }

// The next set bit after a position, from the start again after the last.
inline unsigned next_bit(uint32_t bits, unsigned position) {
  const uint32_t later = bits & ~((2u << position) - 1);
  return first_bit(later ? later : bits);
}

// Lets another thread run until this one can go on.
inline void Worker::give_way() {
  const unsigned self = threadIdx.x;
  const unsigned own_warp = self / kLanes;
  unsigned next;
  if (const uint32_t ready = warps_[own_warp].ready) {
    next = own_warp * kLanes + next_bit(ready, self % kLanes);
  } else {
    ready_warps_ &= ~(1u << own_warp);
    if (!ready_warps_) fail("deadlock: every thread of the block waits");
    const unsigned warp = next_bit(ready_warps_, own_warp);
    next = warp * kLanes + first_bit(warps_[warp].ready);
  }
  threadIdx.x = next;
  Context::swap(contexts_[self], contexts_[next]);
}

inline void Worker::release_barrier() {
  result_ = {votes_, arrived_};
  votes_ = arrived_ = 0;
  for (unsigned warp = 0; warp * kLanes < kernel_->threads; ++warp) {
    Warp& released = warps_[warp];
    released.ready = released.threads & ~released.exited & ~released.waiting;
    if (released.ready) ready_warps_ |= 1u << warp;
  }
}

inline Worker::Votes Worker::barrier(bool vote) {
  Warp& warp = this->warp();
  ++arrived_;
  votes_ += vote;
  if (arrived_ + exited_ == kernel_->threads) {
    release_barrier();
  } else {
    warp.ready &= ~(1u << threadIdx.x % kLanes);
    give_way();
  }
  return result_;
}

inline void Worker::leave() {
  Warp& warp = this->warp();
  const uint32_t lane = 1u << threadIdx.x % kLanes;
  if (warp.wanted & lane) fail("left while lanes of its warp wait for it in a warp collective");
  warp.exited |= lane;
  warp.ready &= ~lane;
  ++exited_;
  if (exited_ == kernel_->threads) {
    Context::swap(contexts_[threadIdx.x], host_);
  } else {
    if (arrived_ != 0 && arrived_ + exited_ == kernel_->threads) release_barrier();
    give_way();
  }
}

inline void Worker::thread_entry() {
  Worker* worker = current_worker;
  worker->kernel_->run(worker->kernel_->arguments);
  worker->leave();
  __builtin_unreachable();
}

inline void Worker::run_block(unsigned index) {
  const Kernel& kernel = *kernel_;
  gridDim = kernel.grid;
  blockDim = dim3(kernel.threads);
  blockIdx = {index % kernel.grid.x, index / kernel.grid.x % kernel.grid.y, index / kernel.grid.x / kernel.grid.y};
  std::memset(shared_.get(), kGuard, kGuardBytes);
  std::memset(shared(), kPoison, kernel.shared_bytes);
  std::memset(shared() + kernel.shared_bytes, kGuard, kGuardBytes);
  exited_ = arrived_ = votes_ = ready_warps_ = 0;
  for (unsigned first = 0; first < kernel.threads; first += kLanes) {
    Warp& warp = warps_[first / kLanes];
    const unsigned lanes = std::min(kLanes, kernel.threads - first);
    warp.threads = warp.ready = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    warp.exited = warp.waiting = warp.wanted = 0;
    ready_warps_ |= 1u << first / kLanes;
  }
  for (unsigned thread = 0; thread < kernel.threads; ++thread) {
    contexts_[thread].prepare(stacks_[thread], Stacks::kBytes, &Worker::thread_entry);
  }
  threadIdx = {0, 0, 0};
  current_worker = this;
  Context::swap(host_, contexts_[0]);
  if (!guard_intact(shared_.get())) fail("wrote before its shared memory");
  if (!guard_intact(shared() + kernel.shared_bytes)) fail("wrote behind its shared memory");
}

// The block's dynamic shared memory; there is no other.
inline unsigned char* dynamic_shared() { return current_worker->shared(); }

}  // namespace emulator
