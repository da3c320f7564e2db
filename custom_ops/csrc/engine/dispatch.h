// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The instruction sets this library was built with, and the one to run.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace aliked_cpu {

// Those that this processor can run, fastest first.
std::vector<const Kernels*> runnable_kernels();

// The fastest, or the one named; throws std::invalid_argument when it is not among them.
const Kernels& choose_kernels(const std::string& name);

}  // namespace aliked_cpu
