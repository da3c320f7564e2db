// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Memory of vectors: aligned to cache lines, zeroed when it is made, never larger than asked for.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace aliked_cpu {

class Buffer {
 public:
  // Makes room for count floats, all zero.
  void resize(int64_t count) {
    data_.reset();
    count_ = 0;
    const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64 + 64;  // vectors may read on
    data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, bytes);
    count_ = count;
  }
  // Makes room for at least count floats.
  void grow(int64_t count) {
    if (count > count_) resize(count);
  }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  int64_t size() const { return count_; }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t count_ = 0;
};

}  // namespace aliked_cpu
