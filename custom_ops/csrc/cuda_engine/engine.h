// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The network on a CUDA device: frames are submitted and collected, two of one size may be under way. One engine
// serves one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "maps.h"

namespace aliked_cuda {

// An image and what is wanted of it; aliked_ops/cuda_engine.py has the same structure.
struct Request {
  const uint8_t* pixels;
  int64_t strides[3];   // bytes from row to row, column to column, channel to channel
  const uint8_t* mask;  // (height, width), 0 where nothing is wanted; null for no mask
  int64_t reference;    // the frame that it is matched to, as submit() numbered it; -1 for none
  float threshold;
  int32_t max_keypoints;
  int32_t grid_rows, grid_columns, max_per_cell;  // max_per_cell 0: no grid
};

// Of all images of a batch.
struct Shape {
  int height, width, channels, batch;
};

// What collect() finds of one image; valid until the engine's next call.
struct Found {
  int count;
  const Keypoint* keypoints;
  const float* descriptors;   // (count, D)
  const int* partners;        // (count) rows of the reference or -1; null where it was not matched
  const float* similarities;  // (count)
};

enum class Precision { kFp32 = 0, kBf16 = 1, kFp16 = 2 };

class Engine {
 public:
  virtual ~Engine() = default;

  // Starts a batch. Its images are frames first_frame, first_frame + 1 and so on. Returns a ticket.
  // Throws std::logic_error when two batches of this shape are under way.
  virtual int64_t submit(const Shape& shape, const Request* images, int64_t first_frame) = 0;
  // Waits for a batch.
  virtual std::vector<Found> collect(int64_t ticket) = 0;

  virtual void score_map(const Shape& shape, const Request& image, float* out) = 0;

  // Milliseconds from images on the device to features on the device, for each of `replays` batches; `groups` batches
  // of images take turns. With matching, each batch is matched to the one before it.
  virtual void time_device(const Shape& shape, const Request* images, int groups, bool with_match, int replays,
                           float* milliseconds) = 0;
  // Milliseconds of each stage, (rounds, stages).
  virtual void time_stages(const Shape& shape, const Request* images, int rounds, float* milliseconds) = 0;
  virtual const std::vector<std::string>& stages() const = 0;

  virtual int64_t memory_bytes() const = 0;  // of the device
  virtual int dim() const = 0;
};

// Throws CudaError, or std::runtime_error when the device or this build does not suffice.
std::unique_ptr<Engine> make_engine(const Model& model, const float* weights, int64_t count, int device,
                                    Precision precision);

int device_count();

}  // namespace aliked_cuda
