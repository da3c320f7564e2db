// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Everything for images of one shape: memory on both sides, and the graphs that run a frame in it.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "engine.h"
#include "handles.h"
#include "kernels.h"
#include "weights.h"

namespace aliked_cuda {

struct PlanKey {
  Shape shape;
  int capacity;  // most keypoints of an image
  bool operator==(const PlanKey& other) const {
    return shape.height == other.shape.height && shape.width == other.shape.width &&
           shape.channels == other.shape.channels && shape.batch == other.shape.batch && capacity == other.capacity;
  }
};

// The streams of an engine: frames that follow each other are copied while others are computed.
struct Streams {
  Stream upload, compute, download;
  // Nothing that was queued reads or writes memory any more.
  void settle() const {
    for (const Stream* stream : {&upload, &compute, &download}) stream->wait_quietly();
  }
};

template <typename T>
class Plan {
 public:
  static constexpr int kNumSlots = 2;

  Plan(const PlanKey& key, const DeviceWeights<T>& weights, const Streams& streams);

  const PlanKey& key() const { return key_; }
  bool is_busy() const { return slots_[0].is_busy || slots_[1].is_busy; }
  int64_t memory_bytes() const { return static_cast<int64_t>(memory_.bytes() + grid_memory_.bytes()); }

  // Returns the slot, of which there are kNumSlots.
  int submit(const Request* images, int64_t first_frame, bool others_are_busy);
  std::vector<Found> collect(int slot);
  void score_map(const Request& image, float* out);
  void time_device(const Request* images, int groups, bool with_match, int replays, float* milliseconds);
  void time_stages(const Request* images, int rounds, float* milliseconds);
  static const std::vector<std::string>& stages();

 private:
  // What of a frame is not in every one of them.
  struct Variant {
    bool with_match, with_grid;
    bool stops_at_scores;
    int index() const { return (with_match ? 1 : 0) + (with_grid ? 2 : 0); }
  };
  static constexpr int kNumVariants = 4;

  // A frame's way in and out; the same on the host and on the device.
  struct Input {
    FrameParameters* parameters;
    uint8_t *images, *masks;
    size_t bytes, bytes_without_masks;
    Input(Arena& arena, const PlanKey& key);
  };
  struct Output {
    int* counts;
    Keypoint* keypoints;
    float* descriptors;
    int* partners;
    float* similarities;
    size_t bytes, bytes_without_match;
    Output(Arena& arena, const PlanKey& key, int dim);
  };

  struct Slot {
    Maps<T, Head<T>> maps;
    Input device_input, host_input;
    Output device_output, host_output;
    std::array<Graph, kNumVariants> graphs;
    Event uploaded, computed, done;
    bool is_busy = false;
    std::vector<bool> is_matched;  // of each image
  };

  void lay_out(Arena& arena, Arena& pinned);
  Variant fill(const Input& input, const Request* images);
  void assign_ring(FrameParameters* parameters, const Request* images, int64_t first_frame);
  void allocate_grid();
  template <typename F>
  void for_each_step(const Slot& slot, Variant variant, const F& after_stage) const;
  void run(Slot& slot, Variant variant);
  void require_idle() const;

  PlanKey key_;
  Sizes sizes_;
  const DeviceWeights<T>& weights_;
  const Streams& streams_;
  DeviceMemory memory_, grid_memory_;
  std::unique_ptr<PinnedMemory> pinned_;
  std::vector<Slot> slots_;
  uint64_t* grid_sorted_ = nullptr;
  uint32_t* grid_cells_ = nullptr;
  std::array<bool, kNumVariants> is_warm_ = {};  // has run, so that everything it needs is loaded
  std::vector<int64_t> ring_frames_;  // which frame's descriptors a slot of the ring has, -1 for none
  int next_in_ring_ = 0;
};

}  // namespace aliked_cuda
