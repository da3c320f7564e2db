// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// A few threads that share the tasks of one loop. Which thread runs a task never changes a result: tasks write
// disjoint memory and every sum is made within one task.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace aliked_cpu {

class ThreadPool {
 public:
  using Task = std::function<void(int task, int thread)>;

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs task(0), ..., task(count - 1), the caller's thread among the workers, and returns when all are done.
  // Rethrows the first exception of a task.
  void run(int count, const Task& task);

 private:
  void work(int thread);
  void take_tasks(int thread);

  std::vector<std::thread> workers_;
  pid_t process_;  // a forked child has none of the workers
  std::mutex mutex_;
  std::condition_variable wake_, finished_;
  std::atomic<uint64_t> round_{0};  // counts the calls of run
  std::atomic<int> next_{0}, busy_{0};
  int count_ = 0;
  const Task* task_ = nullptr;
  std::exception_ptr failure_;
  bool stop_ = false;
};

}  // namespace aliked_cpu
