// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA on a CPU, for tests: kernels that keep to what these files declare compile with a C++ compiler and run without a
// GPU, the same way each time.
//
// | file           | what it has                                                                              |
// |----------------|------------------------------------------------------------------------------------------|
// | types.h        | attributes such as __global__, short vectors, __half and __nv_bfloat16                   |
// | fibers.h       | stacks, and the switch from one to another                                               |
// | block.h        | a block's threads, barriers and collectives of a warp; emulator::dynamic_shared()        |
// | device.h       | functions of device code: shuffles, votes, atomics, arithmetic                           |
// | tensor_cores.h | ldmatrix and mma of a warp                                                               |
// | memory.h       | errors, memory between guards                                                            |
// | launch.h       | emulator::launch, streams and graphs                                                     |
// | runtime.h      | cudaMalloc and other calls of the runtime; events.h has the rest of them                 |
//
// There is no static shared memory and no launch by <<<>>>. Kernels that read memory as several types, as most do, need
// -fno-strict-aliasing. Environment: ALIKED_EMULATOR_THREADS, the processor threads that run blocks (one each; default:
// as many as there are, up to 16), and ALIKED_EMULATOR_MEMORY_MB, the device's memory.
#pragma once

#include "device.h"
#include "events.h"
#include "tensor_cores.h"
