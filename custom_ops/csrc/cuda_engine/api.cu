// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The C interface of the library; aliked_ops/cuda_engine.py describes it to Python.
//
// Functions that can fail return null or a negative number; aliked_cuda_last_error() then tells why.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "engine.h"

#define ALIKED_API extern "C" __attribute__((visibility("default")))

namespace {

thread_local std::string last_error;

template <typename Function>
int64_t guarded(const Function& function) {
  try {
    return function();
  } catch (const std::exception& error) {
    last_error = error.what();
    return -1;
  }
}

aliked_cuda::Engine& engine_of(void* engine) { return *static_cast<aliked_cuda::Engine*>(engine); }

aliked_cuda::Shape shape_of(const int32_t* shape) { return {shape[0], shape[1], shape[2], shape[3]}; }

}  // namespace

// Changes with every change of the interface.
ALIKED_API int32_t aliked_cuda_version() { return 1; }

// The digest of the sources and flags of this build, which tools/build_engine.py looks for in the file.
ALIKED_API const char* aliked_cuda_build() { return ALIKED_BUILD; }

ALIKED_API const char* aliked_cuda_last_error() { return last_error.c_str(); }

ALIKED_API int64_t aliked_cuda_device_count() {
  return guarded([] { return static_cast<int64_t>(aliked_cuda::device_count()); });
}

// model: the four blocks' channels, D and M. precision: 0 float32, 1 bfloat16, 2 float16.
ALIKED_API void* aliked_cuda_create(const int32_t* model, const float* weights, int64_t count, int32_t device,
                                    int32_t precision) {
  void* engine = nullptr;
  guarded([&]() -> int64_t {
    const aliked_cuda::Model sizes = {{model[0], model[1], model[2], model[3]}, model[4], model[5]};
    engine = aliked_cuda::make_engine(sizes, weights, count, device, static_cast<aliked_cuda::Precision>(precision))
                 .release();
    return 0;
  });
  return engine;
}

ALIKED_API void aliked_cuda_destroy(void* engine) { delete static_cast<aliked_cuda::Engine*>(engine); }

// shape: height, width, channels and number of the images. Returns a ticket.
ALIKED_API int64_t aliked_cuda_submit(void* engine, const int32_t* shape, const aliked_cuda::Request* images,
                                      int64_t first_frame) {
  return guarded([&] { return engine_of(engine).submit(shape_of(shape), images, first_frame); });
}

// found: one for each image of the batch, valid until the engine's next call.
ALIKED_API int64_t aliked_cuda_collect(void* engine, int64_t ticket, aliked_cuda::Found* found) {
  return guarded([&]() -> int64_t {
    const std::vector<aliked_cuda::Found> all = engine_of(engine).collect(ticket);
    std::copy(all.begin(), all.end(), found);
    return static_cast<int64_t>(all.size());
  });
}

ALIKED_API int64_t aliked_cuda_score_map(void* engine, const int32_t* shape, const aliked_cuda::Request* image,
                                         float* out) {
  return guarded([&]() -> int64_t {
    engine_of(engine).score_map(shape_of(shape), *image, out);
    return 0;
  });
}

// images: groups batches, that take turns. milliseconds: (replays).
ALIKED_API int64_t aliked_cuda_time_device(void* engine, const int32_t* shape, const aliked_cuda::Request* images,
                                           int32_t groups, int32_t with_match, int32_t replays, float* milliseconds) {
  return guarded([&]() -> int64_t {
    engine_of(engine).time_device(shape_of(shape), images, groups, with_match != 0, replays, milliseconds);
    return 0;
  });
}

// milliseconds: (rounds, stages).
ALIKED_API int64_t aliked_cuda_time_stages(void* engine, const int32_t* shape, const aliked_cuda::Request* images,
                                           int32_t rounds, float* milliseconds) {
  return guarded([&]() -> int64_t {
    engine_of(engine).time_stages(shape_of(shape), images, rounds, milliseconds);
    return 0;
  });
}

// Names of the stages, separated by commas.
ALIKED_API int64_t aliked_cuda_stages(void* engine, char* names, int64_t size) {
  return guarded([&]() -> int64_t {
    std::string joined;
    for (const std::string& name : engine_of(engine).stages()) joined += (joined.empty() ? "" : ",") + name;
    if (size <= static_cast<int64_t>(joined.size())) throw std::invalid_argument("too little room for names");
    std::memcpy(names, joined.c_str(), joined.size() + 1);
    return static_cast<int64_t>(joined.size());
  });
}

ALIKED_API int64_t aliked_cuda_memory_bytes(void* engine) {
  return guarded([&] { return engine_of(engine).memory_bytes(); });
}
