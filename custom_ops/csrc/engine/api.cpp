// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The C interface of the library; aliked_ops/cpu_engine.py describes it to Python.
//
// Functions that can fail return null or a negative number; aliked_cpu_last_error() then tells why. One engine serves
// one caller at a time; different engines share nothing.
#include <algorithm>
#include <exception>
#include <memory>
#include <string>

#include "align.h"
#include "dispatch.h"
#include "engine.h"
#include "match.h"

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

}  // namespace

// Changes with every change of the interface.
ALIKED_API int32_t aliked_cpu_version() { return 3; }

// The digest of the sources and flags of this build, which tools/build_engine.py looks for in the file.
ALIKED_API const char* aliked_cpu_build() { return ALIKED_BUILD; }

ALIKED_API const char* aliked_cpu_last_error() { return last_error.c_str(); }

// Names of the instruction sets that this processor can run, fastest first, separated by commas.
ALIKED_API int64_t aliked_cpu_instruction_sets(char* names, int64_t size) {
  return guarded([&]() -> int64_t {
    std::string joined;
    for (const aliked_cpu::Kernels* kernels : aliked_cpu::runnable_kernels()) {
      joined += (joined.empty() ? "" : ",") + std::string(kernels->name);
    }
    joined.copy(names, static_cast<size_t>(std::max<int64_t>(size - 1, 0)));
    if (size > 0) names[std::min<int64_t>(size - 1, static_cast<int64_t>(joined.size()))] = 0;
    return static_cast<int64_t>(joined.size());
  });
}

// model: the four blocks' channels, D and M. narrow: bfloat16 inputs of products. instruction_set: "" for the fastest.
ALIKED_API void* aliked_cpu_create(const int32_t* model, const float* weights, int64_t count, int32_t threads,
                                   int32_t narrow, const char* instruction_set) {
  void* engine = nullptr;
  guarded([&]() -> int64_t {
    const aliked_cpu::Model sizes = {{model[0], model[1], model[2], model[3]}, model[4], model[5]};
    const aliked_cpu::Kernels& kernels = aliked_cpu::choose_kernels(instruction_set);
    engine = new aliked_cpu::Engine(sizes, weights, count, threads, narrow != 0, kernels);
    return 0;
  });
  return engine;
}

ALIKED_API void aliked_cpu_destroy(void* engine) { delete static_cast<aliked_cpu::Engine*>(engine); }

ALIKED_API const char* aliked_cpu_instruction_set(void* engine) {
  return static_cast<aliked_cpu::Engine*>(engine)->instruction_set();
}

// strides: bytes from row to row, column to column, channel to channel. grid: rows, columns and the most keypoints of a
// cell, or null. mask: (height, width), 0 where no keypoint is wanted, or null. Returns the number of keypoints.
ALIKED_API int64_t aliked_cpu_detect(void* engine, const uint8_t* pixels, int32_t height, int32_t width,
                                     const int64_t* strides, int32_t max_keypoints, float threshold,
                                     const int32_t* grid, const uint8_t* mask) {
  return guarded([&] {
    aliked_cpu::Selection selection = {max_keypoints, threshold, 0, 0, 0, mask};
    if (grid) {
      selection.grid_rows = grid[0];
      selection.grid_columns = grid[1];
      selection.max_per_cell = grid[2];
    }
    const aliked_cpu::Image image = {pixels, height, width, strides[0], strides[1], strides[2]};
    return static_cast<int64_t>(
        static_cast<aliked_cpu::Engine*>(engine)->detect(image, selection).size());
  });
}

// The keypoints that were detected last: (N, 4) as x, y, score, dispersity, and their descriptors (N, D).
ALIKED_API int64_t aliked_cpu_describe(void* engine, float* keypoints, float* descriptors) {
  return guarded([&]() -> int64_t {
    auto& self = *static_cast<aliked_cpu::Engine*>(engine);
    self.describe(descriptors);
    float* out = keypoints;
    for (const aliked_cpu::Keypoint& keypoint : self.keypoints()) {
      *out++ = keypoint.x;
      *out++ = keypoint.y;
      *out++ = keypoint.score;
      *out++ = keypoint.dispersity;
    }
    return 0;
  });
}

ALIKED_API int64_t aliked_cpu_score_map(void* engine, const uint8_t* pixels, int32_t height, int32_t width,
                                        const int64_t* strides, float* out) {
  return guarded([&]() -> int64_t {
    static_cast<aliked_cpu::Engine*>(engine)->score_map({pixels, height, width, strides[0], strides[1], strides[2]},
                                                        out);
    return 0;
  });
}

// Milliseconds of the last image's stages: block1, block2, block3, block4, score head, detection, description.
ALIKED_API int64_t aliked_cpu_stage_ms(void* engine, double* stages, int64_t count) {
  const double* source = static_cast<aliked_cpu::Engine*>(engine)->stage_ms();
  const int64_t filled = std::min<int64_t>(count, aliked_cpu::kNumStages);
  std::copy(source, source + filled, stages);
  return filled;
}

// For each row of a (n, d) its best row of b (k, d) by dot product, and the reverse; the first of equals.
ALIKED_API int64_t aliked_cpu_match(const float* a, int64_t n, const float* b, int64_t k, int64_t d,
                                    float min_product, int32_t threads, const char* instruction_set,
                                    int32_t* best_of_a, float* similarity, int32_t* best_of_b) {
  return guarded([&]() -> int64_t {
    aliked_cpu::match(aliked_cpu::choose_kernels(instruction_set), a, n, b, k, d, min_product, threads, best_of_a,
                      similarity, best_of_b);
    return 0;
  });
}

// Looks for patches in an image (height, width); AlignBlock in kernels.h describes the rest.
// settings: most iterations, tolerance, prior.
ALIKED_API int64_t aliked_cpu_align(const float* image, int32_t height, int32_t width, const float* patches,
                                    const double* statistics, const int32_t* rows, int64_t count,
                                    const float* settings, int32_t threads, const char* instruction_set,
                                    float* warps, float* quality) {
  return guarded([&]() -> int64_t {
    const aliked_cpu::AlignBlock points = {
        image, width, width, height, patches, statistics, rows, static_cast<int>(count), static_cast<int>(settings[0]),
        settings[1], settings[2], warps, quality};
    aliked_cpu::align(aliked_cpu::choose_kernels(instruction_set), points, threads);
    return 0;
  });
}

// Cuts patches out of an image (height, width) around points (count, 2).
ALIKED_API int64_t aliked_cpu_cut_patches(const float* image, int32_t height, int32_t width, const float* xy,
                                          int64_t count, const char* instruction_set, float* patches,
                                          double* statistics) {
  return guarded([&]() -> int64_t {
    aliked_cpu::choose_kernels(instruction_set)
        .cut_patches({image, width, width, height, xy, static_cast<int>(count), patches, statistics});
    return 0;
  });
}
