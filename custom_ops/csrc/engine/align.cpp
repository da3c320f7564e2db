// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "align.h"

#include <algorithm>

#include "thread_pool.h"

namespace aliked_cpu {

void align(const Kernels& kernels, const AlignBlock& points, int threads) {
  constexpr int kStep = 32;  // points of a task: enough to outweigh its start, few enough to share evenly
  const int tasks = (points.count + kStep - 1) / kStep;
  ThreadPool pool(std::clamp(threads, 1, std::max(tasks, 1)));
  pool.run(tasks, [&](int task, int) {
    const int64_t first = static_cast<int64_t>(task) * kStep;
    AlignBlock part = points;
    part.count = static_cast<int>(std::min<int64_t>(kStep, points.count - first));
    part.rows += first;
    part.warps += first * 6;
    part.quality += first * 2;
    kernels.align(part);
  });
}

}  // namespace aliked_cpu
