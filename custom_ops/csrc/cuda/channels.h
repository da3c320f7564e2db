// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "aliked_ops/numeric.h"

namespace aliked_ops::cuda {

// Channels one thread handles where finding out what to do costs more than doing it for one.
constexpr int64_t kChannelsPerThread = 8;

ALIKED_HD int64_t channel_groups(int64_t channels) { return (channels + kChannelsPerThread - 1) / kChannelsPerThread; }

// The end of the group of channels that begins here.
ALIKED_HD int64_t group_end(int64_t begin, int64_t channels) {
  return begin + kChannelsPerThread < channels ? begin + kChannelsPerThread : channels;
}

}  // namespace aliked_ops::cuda
