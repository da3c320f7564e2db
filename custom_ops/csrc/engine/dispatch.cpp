// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
#include "dispatch.h"

#include <stdexcept>

namespace aliked_cpu {

#if defined(ALIKED_HAS_avx512bf16)
extern const Kernels kernels_avx512bf16;
#endif
#if defined(ALIKED_HAS_avx512)
extern const Kernels kernels_avx512;
#endif
#if defined(ALIKED_HAS_avx2)
extern const Kernels kernels_avx2;
#endif
extern const Kernels kernels_baseline;

std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> runnable;
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(ALIKED_HAS_avx512) || defined(ALIKED_HAS_avx512bf16)
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("fma");
#endif
#if defined(ALIKED_HAS_avx512bf16)
  if (avx512 && __builtin_cpu_supports("avx512bf16")) runnable.push_back(&kernels_avx512bf16);
#endif
#if defined(ALIKED_HAS_avx512)
  if (avx512) runnable.push_back(&kernels_avx512);
#endif
#if defined(ALIKED_HAS_avx2)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) runnable.push_back(&kernels_avx2);
#endif
#endif
  runnable.push_back(&kernels_baseline);
  return runnable;
}

const Kernels& choose_kernels(const std::string& name) {
  const std::vector<const Kernels*> runnable = runnable_kernels();
  if (name.empty()) return *runnable.front();
  std::string known;
  for (const Kernels* kernels : runnable) {
    if (name == kernels->name) return *kernels;
    known += (known.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("no kernels named '" + name + "' run on this processor; these do: " + known);
}

}  // namespace aliked_cpu
