// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "thread_pool.h"

#include <unistd.h>

#include <chrono>
#include <exception>

namespace aliked_cpu {

namespace {

// Phases of one frame follow each other within microseconds: looking for a while before sleeping saves their wake-ups.
constexpr auto kPatience = std::chrono::microseconds(50);

template <typename Condition>
bool wait_briefly(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  do {
    for (int i = 0; i < 64; ++i) {
      if (condition()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : process_(getpid()) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  if (process_ != getpid()) {
    for (std::thread& worker : workers_) worker.detach();
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    round_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int count, const Task& task) {
  if (workers_.empty() || count <= 1 || process_ != getpid()) {
    for (int i = 0; i < count; ++i) task(i, 0);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task_ = &task;
    count_ = count;
    failure_ = nullptr;
    next_.store(0);
    busy_.store(static_cast<int>(workers_.size()));
    round_.fetch_add(1);
  }
  wake_.notify_all();
  take_tasks(0);
  const auto done = [this] { return busy_.load() == 0; };
  if (!wait_briefly(done)) {
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, done);
  }
  if (failure_) std::rethrow_exception(failure_);
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;
  const auto called = [&] { return round_.load() != seen; };
  while (true) {
    if (!wait_briefly(called)) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, called);
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      seen = round_.load();
      if (stop_) return;
    }
    take_tasks(thread);
    if (busy_.fetch_sub(1) == 1) {
      std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }
}

void ThreadPool::take_tasks(int thread) {
  try {
    for (int i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) (*task_)(i, thread);
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    next_.store(count_);
  }
}

}  // namespace aliked_cpu
