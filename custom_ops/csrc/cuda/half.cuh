// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "aliked_ops/numeric.h"

namespace aliked_ops {

template <>
struct Numeric<__half> {
  using Real = float;
  static ALIKED_HD float load(__half value) { return __half2float(value); }
  static ALIKED_HD __half store(float value) { return __float2half(value); }
};

template <>
struct Numeric<__nv_bfloat16> {
  using Real = float;
  static ALIKED_HD float load(__nv_bfloat16 value) { return __bfloat162float(value); }
  static ALIKED_HD __nv_bfloat16 store(float value) { return __float2bfloat16(value); }
};

}  // namespace aliked_ops
