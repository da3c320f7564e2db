// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#include "engine.h"

#include <algorithm>
#include <list>
#include <stdexcept>

#include "plan.h"

namespace aliked_cuda {

namespace {

constexpr size_t kMostPlans = 4;
constexpr int kCapacityStep = 256;  // so that a few keypoints more or fewer need no other plan

struct Capability {
  int major, minor;
  std::string name() const { return std::to_string(major) + "." + std::to_string(minor); }
};

Capability capability_of(int device) {
  Capability capability = {};
  check(cudaDeviceGetAttribute(&capability.major, cudaDevAttrComputeCapabilityMajor, device), "while a device was asked");
  check(cudaDeviceGetAttribute(&capability.minor, cudaDevAttrComputeCapabilityMinor, device), "while a device was asked");
  return capability;
}

template <typename T>
class EngineOf : public Engine {
 public:
  EngineOf(const Model& model, const float* weights, int64_t count, int device)
      : device_(device), weights_(model, weights, count) {}

  ~EngineOf() override {
    int before = 0;
    cudaGetDevice(&before);
    cudaSetDevice(device_);
    streams_.settle();
    plans_.clear();
    cudaSetDevice(before);
  }

  int64_t submit(const Shape& shape, const Request* images, int64_t first_frame) override {
    const OnDevice guard(device_);
    Plan<T>& plan = plan_for(shape, images, shape.batch);
    const bool others_are_busy = std::any_of(plans_.begin(), plans_.end(), [](auto& other) { return other->is_busy(); });
    int slot = 0;
    try {
      slot = plan.submit(images, first_frame, others_are_busy);
    } catch (const CudaError&) {
      streams_.settle();  // what was queued of it uses memory that the next batch writes
      throw;
    }
    tickets_.push_back({next_ticket_, &plan, slot});
    return next_ticket_++;
  }

  std::vector<Found> collect(int64_t id) override {
    const OnDevice guard(device_);
    const auto ticket = std::find_if(tickets_.begin(), tickets_.end(), [id](auto& other) { return other.id == id; });
    if (ticket == tickets_.end()) throw std::logic_error("there is no batch " + std::to_string(id) + " to collect");
    const Ticket found = *ticket;
    tickets_.erase(ticket);
    return found.plan->collect(found.slot);
  }

  void score_map(const Shape& shape, const Request& image, float* out) override {
    const OnDevice guard(device_);
    plan_for(shape, &image, 1).score_map(image, out);
  }

  void time_device(const Shape& shape, const Request* images, int groups, bool with_match, int replays,
                   float* milliseconds) override {
    const OnDevice guard(device_);
    plan_for(shape, images, groups * shape.batch).time_device(images, groups, with_match, replays, milliseconds);
  }

  void time_stages(const Shape& shape, const Request* images, int rounds, float* milliseconds) override {
    const OnDevice guard(device_);
    plan_for(shape, images, shape.batch).time_stages(images, rounds, milliseconds);
  }

  const std::vector<std::string>& stages() const override { return Plan<T>::stages(); }

  int64_t memory_bytes() const override {
    int64_t bytes = static_cast<int64_t>(weights_.memory.bytes());
    for (const auto& plan : plans_) bytes += plan->memory_bytes();
    return bytes;
  }

  int dim() const override { return weights_.model.dim; }

  // Runs every kernel once on a small image: what this device cannot do shows now.
  void try_out() {
    const Shape shape = {64, 64, 1, 1};
    const std::vector<uint8_t> pixels(64 * 64);
    const Request image = {pixels.data(), {64, 1, 1}, nullptr, -1, 0.0f, 1, 1, 1, 1};
    std::vector<float> milliseconds(stages().size());
    time_stages(shape, &image, 1, milliseconds.data());
    plans_.clear();
  }

 private:
  struct Ticket {
    int64_t id;
    Plan<T>* plan;
    int slot;
  };

  // The plan for images of a shape, the most recently used one first in the list; drops what was not used for long.
  Plan<T>& plan_for(const Shape& shape, const Request* images, int count) {
    int most = 1;
    for (int i = 0; i < count; ++i) most = std::max(most, images[i].max_keypoints);
    const int64_t pixels = static_cast<int64_t>(shape.height) * shape.width;
    most = static_cast<int>(std::min<int64_t>(most, pixels));
    const PlanKey key = {shape, (most + kCapacityStep - 1) / kCapacityStep * kCapacityStep};
    const auto found = std::find_if(plans_.begin(), plans_.end(), [&](auto& plan) { return plan->key() == key; });
    if (found != plans_.end()) {
      plans_.splice(plans_.begin(), plans_, found);
      return *plans_.front();
    }
    drop_idle(kMostPlans - 1);
    try {
      plans_.push_front(std::make_unique<Plan<T>>(key, weights_, streams_));
    } catch (const CudaError& error) {
      const size_t before = plans_.size();
      drop_idle(0);
      if (error.code() != cudaErrorMemoryAllocation || plans_.size() == before) throw;
      plans_.push_front(std::make_unique<Plan<T>>(key, weights_, streams_));
    }
    return *plans_.front();
  }

  // Drops the plans that were not used for longest until so many are left, but none with a batch under way.
  void drop_idle(size_t most) {
    for (auto plan = plans_.end(); plans_.size() > most && plan != plans_.begin();) {
      --plan;
      if (!(*plan)->is_busy()) plan = plans_.erase(plan);
    }
  }

  int device_;
  DeviceWeights<T> weights_;
  Streams streams_;
  std::list<std::unique_ptr<Plan<T>>> plans_;
  std::vector<Ticket> tickets_;
  int64_t next_ticket_ = 0;
};

template <typename T>
std::unique_ptr<Engine> tried_out(const Model& model, const float* weights, int64_t count, int device) {
  auto engine = std::make_unique<EngineOf<T>>(model, weights, count, device);
  engine->try_out();
  return engine;
}

}  // namespace

int device_count() {
  int count = 0;
  check(cudaGetDeviceCount(&count), "while devices were counted");
  return count;
}

std::unique_ptr<Engine> make_engine(const Model& model, const float* weights, int64_t count, int device,
                                    Precision precision) {
  if (device < 0 || device >= device_count()) {
    throw std::runtime_error("there is no CUDA device " + std::to_string(device));
  }
  const OnDevice guard(device);
  const Capability capability = capability_of(device);
  if (precision != Precision::kFp16 && capability.major < 8) {
    throw std::runtime_error("the compiled CUDA engine has precisions fp32 and bf16 for GPUs of compute capability 8.0 or "
                             "more, this one has " + capability.name() + "; use fp16");
  }
  try {
    switch (precision) {
      case Precision::kFp16:
        return tried_out<__half>(model, weights, count, device);
      case Precision::kBf16:
        return tried_out<__nv_bfloat16>(model, weights, count, device);
      default:
        return tried_out<float>(model, weights, count, device);
    }
  } catch (const CudaError& error) {
    if (error.code() == cudaErrorNoKernelImageForDevice) {
      throw std::runtime_error("this build of the compiled CUDA engine is not for a GPU of compute capability " +
                               capability.name() + "; build it with TORCH_CUDA_ARCH_LIST=" + capability.name() +
                               " python -m tools.build_engine --cuda");
    }
    if (error.code() == cudaErrorInvalidValue) {
      throw std::runtime_error("this GPU of compute capability " + capability.name() +
                               " cannot run the compiled CUDA engine at this precision: " + error.what());
    }
    throw;
  }
}

}  // namespace aliked_cuda
