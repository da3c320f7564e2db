// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#include "plan.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "bilinear.cuh"

namespace aliked_cuda {

namespace {

Sizes sizes_of(const PlanKey& key) {
  constexpr int kMultiple = 32;
  const auto padded = [](int size) { return (size + kMultiple - 1) / kMultiple * kMultiple; };
  Sizes sizes = {};
  sizes.batch = key.shape.batch;
  sizes.height = key.shape.height;
  sizes.width = key.shape.width;
  sizes.channels = key.shape.channels;
  sizes.padded_height = padded(sizes.height);
  sizes.padded_width = padded(sizes.width);
  sizes.top = (sizes.padded_height - sizes.height) / 2;
  sizes.left = (sizes.padded_width - sizes.width) / 2;
  sizes.capacity = key.capacity;
  for (int i = 0; i < 3; ++i) {
    sizes.scale_y[i] = upsampling_scale(sizes.padded_height, sizes.padded_height / reduction(i));
    sizes.scale_x[i] = upsampling_scale(sizes.padded_width, sizes.padded_width / reduction(i));
  }
  return sizes;
}

int64_t pixels_of(const Shape& shape) { return static_cast<int64_t>(shape.height) * shape.width; }

// An image of any strides, row by row behind each other.
void copy_image(const Shape& shape, const Request& image, uint8_t* to) {
  const int64_t row_bytes = static_cast<int64_t>(shape.width) * shape.channels;
  const bool is_dense = (shape.channels == 1 || image.strides[2] == 1) && image.strides[1] == shape.channels;
  if (is_dense && image.strides[0] == row_bytes) {
    std::memcpy(to, image.pixels, static_cast<size_t>(row_bytes * shape.height));
    return;
  }
  for (int y = 0; y < shape.height; ++y, to += row_bytes) {
    const uint8_t* row = image.pixels + y * image.strides[0];
    if (is_dense) {
      std::memcpy(to, row, static_cast<size_t>(row_bytes));
    } else if (shape.channels == 1) {
      for (int x = 0; x < shape.width; ++x) to[x] = row[x * image.strides[1]];
    } else {
      const int64_t step = image.strides[1], channel = image.strides[2];
      for (int x = 0; x < shape.width; ++x) {
        const uint8_t* pixel = row + x * step;
        to[3 * x] = pixel[0];
        to[3 * x + 1] = pixel[channel];
        to[3 * x + 2] = pixel[2 * channel];
      }
    }
  }
}

}  // namespace

template <typename T>
Plan<T>::Input::Input(Arena& arena, const PlanKey& key) {
  const int64_t pixels = pixels_of(key.shape), batch = key.shape.batch;
  const size_t begin = arena.size();
  parameters = arena.take<FrameParameters>(batch);
  images = arena.take<uint8_t>(batch * pixels * key.shape.channels);
  bytes_without_masks = arena.size() - begin;
  masks = arena.take<uint8_t>(batch * pixels);
  bytes = arena.size() - begin;
}

template <typename T>
Plan<T>::Output::Output(Arena& arena, const PlanKey& key, int dim) {
  const int64_t rows = static_cast<int64_t>(key.shape.batch) * key.capacity;
  const size_t begin = arena.size();
  counts = arena.take<int>(key.shape.batch);
  keypoints = arena.take<Keypoint>(rows);
  descriptors = arena.take<float>(rows * dim);
  bytes_without_match = arena.size() - begin;
  partners = arena.take<int>(rows);
  similarities = arena.take<float>(rows);
  bytes = arena.size() - begin;
}

template <typename T>
Plan<T>::Plan(const PlanKey& key, const DeviceWeights<T>& weights, const Streams& streams)
    : key_(key), sizes_(sizes_of(key)), weights_(weights), streams_(streams) {
  ring_frames_.assign(std::max(8, 4 * key.shape.batch), -1);
  Arena measured, measured_pinned;
  lay_out(measured, measured_pinned);
  memory_ = DeviceMemory(measured.size());
  pinned_ = std::make_unique<PinnedMemory>(measured_pinned.size());
  Arena arena(memory_.data()), pinned(pinned_->data());
  lay_out(arena, pinned);
}

template <typename T>
void Plan<T>::lay_out(Arena& arena, Arena& pinned) {
  const Model& model = weights_.model;
  const int64_t batch = sizes_.batch, pixels = pixels_of(key_.shape), rows = batch * sizes_.capacity;
  const int64_t padded = batch * sizes_.padded_height * sizes_.padded_width;
  const auto at_level = [&](int level) { return padded / (reduction(level) * reduction(level)); };
  Maps<T, Head<T>> maps = {};
  maps.x1 = arena.take<T>(padded * model.channels[0]);
  for (int i = 0; i < 3; ++i) {
    maps.pooled[i] = arena.take<T>(at_level(i) * model.channels[i]);
    maps.levels[i] = arena.take<Head<T>>(at_level(i) * model.quarter());
    if (i > 0) maps.middle[i - 1] = arena.take<T>(at_level(i) * model.channels[i + 1]);
  }
  const int64_t described = batch * describe_tiles(sizes_);
  maps.partial_descriptors = arena.take<float>(described * describe_splits(model) * 16 * model.dim);
  maps.tile_arrivals = arena.take<int>(described);
  DetectionMaps& detection = maps.detection;
  for (int i = 0; i < 4; ++i) detection.shares[i] = arena.take<float>((i ? at_level(i - 1) : padded) * kScoreWidth);
  detection.scores = arena.take<float>(batch * pixels);
  detection.num_candidates = arena.take<int>(batch);
  detection.candidates = arena.take<uint64_t>(batch * pixels);
  detection.histogram = arena.take<int>(batch * kBins);
  detection.num_selected = arena.take<int>(batch);
  detection.selected = arena.take<uint64_t>(batch * selection_capacity(sizes_));
  detection.unsorted = arena.take<Keypoint>(rows);
  detection.refined = arena.take<uint64_t>(rows);
  const int64_t ring_elements = static_cast<int64_t>(ring_frames_.size()) * sizes_.capacity * model.dim;
  maps.match.ring_high = arena.take<__half>(ring_elements);
  maps.match.ring_low = arena.take<__half>(ring_elements);
  maps.match.ring_counts = arena.take<int>(static_cast<int64_t>(ring_frames_.size()));
  maps.match.best_of_row = arena.take<uint64_t>(rows);
  maps.match.best_of_column = arena.take<uint64_t>(rows);

  slots_.clear();
  for (int i = 0; i < kNumSlots; ++i) {
    const Input input(arena, key_);
    const Output output(arena, key_, model.dim);
    const Input host_input(pinned, key_);
    const Output host_output(pinned, key_, model.dim);
    maps.detection.image = input.images;
    maps.detection.mask = input.masks;
    maps.detection.counts = output.counts;
    maps.detection.keypoints = output.keypoints;
    maps.detection.parameters = maps.match.parameters = input.parameters;
    maps.descriptors = output.descriptors;
    maps.match.partners = output.partners;
    maps.match.similarities = output.similarities;
    slots_.push_back(Slot{maps, input, host_input, output, host_output, {}, Event(), Event(), Event(), false, {}});
  }
}

// Writes what is uploaded; says what of a frame these images need.
template <typename T>
typename Plan<T>::Variant Plan<T>::fill(const Input& input, const Request* images) {
  const int64_t pixels = pixels_of(key_.shape);
  Variant variant = {};
  for (int i = 0; i < sizes_.batch; ++i) {
    const Request& image = images[i];
    copy_image(key_.shape, image, input.images + i * pixels * sizes_.channels);
    if (image.mask) std::memcpy(input.masks + i * pixels, image.mask, static_cast<size_t>(pixels));
    input.parameters[i] = {image.threshold, std::min(image.max_keypoints, sizes_.capacity),
                           std::max(image.grid_rows, 1), std::max(image.grid_columns, 1), image.max_per_cell,
                           image.mask != nullptr, i, -1};
    // With a grid in one image the others have one without limits.
    if (image.max_per_cell > 0) variant.with_grid = true;
  }
  for (int i = 0; i < sizes_.batch && variant.with_grid; ++i) {
    if (images[i].max_per_cell <= 0) input.parameters[i].max_per_cell = static_cast<int>(pixels);
  }
  return variant;
}

// Places in the ring for a batch's descriptors, and where those lie that it is matched to.
template <typename T>
void Plan<T>::assign_ring(FrameParameters* parameters, const Request* images, int64_t first_frame) {
  const auto place_of = [&](int64_t frame) {
    const auto found = std::find(ring_frames_.begin(), ring_frames_.end(), frame);
    return frame < 0 || found == ring_frames_.end() ? -1 : static_cast<int>(found - ring_frames_.begin());
  };
  for (int i = 0; i < sizes_.batch; ++i) parameters[i].reference_slot = place_of(images[i].reference);
  for (int i = 0; i < sizes_.batch; ++i) {
    const auto is_referenced = [&](int place) {
      return std::any_of(parameters, parameters + sizes_.batch,
                         [place](const FrameParameters& other) { return other.reference_slot == place; });
    };
    do {
      next_in_ring_ = (next_in_ring_ + 1) % static_cast<int>(ring_frames_.size());
    } while (is_referenced(next_in_ring_));
    parameters[i].own_slot = next_in_ring_;
    ring_frames_[next_in_ring_] = first_frame + i;
  }
}

// What sorting by cells needs, once somebody wants it.
template <typename T>
void Plan<T>::allocate_grid() {
  if (grid_sorted_) return;
  const int64_t capacity = sort_capacity(sizes_), all = capacity * sizes_.batch;
  grid_memory_ = DeviceMemory(static_cast<size_t>(all) * (sizeof(uint64_t) + sizeof(uint32_t)));
  grid_sorted_ = reinterpret_cast<uint64_t*>(grid_memory_.data());
  grid_cells_ = reinterpret_cast<uint32_t*>(grid_sorted_ + all);
}

template <typename T>
const std::vector<std::string>& Plan<T>::stages() {
  static const std::vector<std::string> names = {
      "block1",     "block2", "block3.conv1", "block3.conv2", "block4.conv1", "block4.conv2",
      "score_head", "maxima", "selection",    "description",  "match"};
  return names;
}

template <typename T>
template <typename F>
void Plan<T>::for_each_step(const Slot& slot, Variant variant, const F& after_stage) const {
  Maps<T, Head<T>> maps = slot.maps;
  if (variant.with_grid) {
    maps.detection.sorted = grid_sorted_;
    maps.detection.cells = grid_cells_;
    maps.detection.sort_capacity = sort_capacity(sizes_);
  }
  const Launcher launcher = {streams_.compute};
  const Model& model = weights_.model;
  const WeightPointers<T, Head<T>>& weights = weights_.pointers;
  size_t stage = 0;
  const auto finish = [&](cudaError_t error) {
    if (error != cudaSuccess) check(error, ("while stage " + stages()[stage] + " was started").c_str());
    after_stage(stage++);
  };
  finish(block1<T>(launcher, model, sizes_, weights, maps));
  finish(block2<T>(launcher, model, sizes_, weights, maps));
  finish(block3_first<T>(launcher, model, sizes_, weights, maps));
  finish(block3_second<T>(launcher, model, sizes_, weights, maps));
  finish(block4_first<T>(launcher, model, sizes_, weights, maps));
  finish(block4_second<T>(launcher, model, sizes_, weights, maps));
  finish(score_head(launcher, sizes_, weights.score, maps.detection));
  if (variant.stops_at_scores) return;
  finish(find_maxima(launcher, sizes_, maps.detection));
  if (variant.with_grid) check(thin_cells(launcher, sizes_, maps.detection), "while the grid's step was started");
  finish(select_keypoints(launcher, sizes_, maps.detection));
  finish(describe<T>(launcher, model, sizes_, weights, maps));
  if (variant.with_match) finish(match(launcher, sizes_, model.dim, maps.match));
}

// Runs a frame in a slot: the first time step by step, which loads what has to be loaded, then as a graph.
template <typename T>
void Plan<T>::run(Slot& slot, Variant variant) {
  const int index = variant.index();
  const auto enqueue = [&] { for_each_step(slot, variant, [](size_t) {}); };
  if (!is_warm_[index]) {
    enqueue();
    is_warm_[index] = true;
    return;
  }
  if (!slot.graphs[index]) slot.graphs[index] = Graph(streams_.compute, enqueue);
  slot.graphs[index].launch(streams_.compute);
}

template <typename T>
int Plan<T>::submit(const Request* images, int64_t first_frame, bool others_are_busy) {
  const int index = slots_[0].is_busy ? 1 : 0;
  Slot& slot = slots_[index];
  if (slot.is_busy) throw std::logic_error("two batches are under way already; collect one first");
  Variant variant = fill(slot.host_input, images);
  assign_ring(slot.host_input.parameters, images, first_frame);
  bool has_mask = false;
  slot.is_matched.assign(sizes_.batch, false);
  for (int i = 0; i < sizes_.batch; ++i) {
    has_mask = has_mask || images[i].mask;
    slot.is_matched[i] = slot.host_input.parameters[i].reference_slot >= 0;
    variant.with_match = variant.with_match || slot.is_matched[i];
  }
  if (variant.with_grid) allocate_grid();

  // Streams of their own let copies pass what is computed; with nothing to pass they would only add delays.
  const cudaStream_t compute = streams_.compute;
  const cudaStream_t upload = others_are_busy ? streams_.upload : compute;
  const cudaStream_t download = others_are_busy ? streams_.download : compute;
  const size_t bytes = has_mask ? slot.host_input.bytes : slot.host_input.bytes_without_masks;
  check(cudaMemcpyAsync(slot.device_input.parameters, slot.host_input.parameters, bytes, cudaMemcpyHostToDevice, upload),
        "while an image was uploaded");
  if (upload != compute) {
    slot.uploaded.record(upload);
    check(cudaStreamWaitEvent(compute, slot.uploaded, 0), "while a stream was told to wait");
  }
  run(slot, variant);
  if (download != compute) {
    slot.computed.record(compute);
    check(cudaStreamWaitEvent(download, slot.computed, 0), "while a stream was told to wait");
  }
  const size_t found = variant.with_match ? slot.host_output.bytes : slot.host_output.bytes_without_match;
  check(cudaMemcpyAsync(slot.host_output.counts, slot.device_output.counts, found, cudaMemcpyDeviceToHost, download),
        "while features were downloaded");
  slot.done.record(download);
  slot.is_busy = true;
  return index;
}

template <typename T>
std::vector<Found> Plan<T>::collect(int index) {
  Slot& slot = slots_[index];
  slot.is_busy = false;
  slot.done.wait();
  std::vector<Found> found;
  const int64_t capacity = sizes_.capacity;
  for (int i = 0; i < sizes_.batch; ++i) {
    const Output& output = slot.host_output;
    found.push_back({output.counts[i], output.keypoints + i * capacity,
                     output.descriptors + i * capacity * weights_.model.dim,
                     slot.is_matched[i] ? output.partners + i * capacity : nullptr,
                     output.similarities + i * capacity});
  }
  return found;
}

template <typename T>
void Plan<T>::require_idle() const {
  if (is_busy()) throw std::logic_error("a batch is under way; collect it first");
}

template <typename T>
void Plan<T>::score_map(const Request& image, float* out) {
  require_idle();
  const Slot& slot = slots_[0];
  Variant variant = fill(slot.host_input, &image);
  variant.stops_at_scores = true;
  check(cudaMemcpyAsync(slot.device_input.parameters, slot.host_input.parameters, slot.host_input.bytes_without_masks,
                        cudaMemcpyHostToDevice, streams_.compute),
        "while an image was uploaded");
  for_each_step(slot, variant, [](size_t) {});
  streams_.compute.wait();
  check(cudaMemcpy(out, slot.maps.detection.scores, static_cast<size_t>(pixels_of(key_.shape)) * sizeof(float),
                   cudaMemcpyDeviceToHost),
        "while the score map was downloaded");
}

template <typename T>
void Plan<T>::time_device(const Request* images, int groups, bool with_match, int replays, float* milliseconds) {
  require_idle();
  Slot& slot = slots_[0];
  const cudaStream_t stream = streams_.compute;
  const size_t bytes = slot.host_input.bytes;
  // Twice as many inputs as there are groups: batches write to two halves of the ring in turns.
  const int inputs = 2 * groups;
  DeviceMemory rotation(bytes * inputs);
  Variant variant = {};
  for (int i = 0; i < inputs; ++i) {
    const Variant own = fill(slot.host_input, images + i % groups * sizes_.batch);
    variant.with_grid = variant.with_grid || own.with_grid;
    for (int b = 0; b < sizes_.batch; ++b) {
      FrameParameters& parameters = slot.host_input.parameters[b];
      parameters.own_slot = i % 2 * sizes_.batch + b;
      parameters.reference_slot = with_match ? (i + 1) % 2 * sizes_.batch + b : -1;
    }
    check(cudaMemcpy(rotation.data() + i * bytes, slot.host_input.parameters, bytes, cudaMemcpyHostToDevice),
          "while an image was uploaded");
  }
  if (variant.with_grid) allocate_grid();
  variant.with_match = with_match;
  std::fill(ring_frames_.begin(), ring_frames_.end(), -1);
  std::vector<Event> started, ended;
  for (int i = 0; i < replays; ++i) {
    started.emplace_back(cudaEventDefault);
    ended.emplace_back(cudaEventDefault);
  }
  constexpr int kWarmUps = 8;
  for (int i = -kWarmUps; i < replays; ++i) {
    check(cudaMemcpyAsync(slot.device_input.parameters, rotation.data() + (i + kWarmUps) % inputs * bytes, bytes,
                          cudaMemcpyDeviceToDevice, stream),
          "while an image was copied");
    if (i >= 0) started[i].record(stream);
    run(slot, variant);
    if (i >= 0) ended[i].record(stream);
  }
  streams_.compute.wait();
  for (int i = 0; i < replays; ++i) {
    check(cudaEventElapsedTime(milliseconds + i, started[i], ended[i]), "while a time was read");
  }
}

template <typename T>
void Plan<T>::time_stages(const Request* images, int rounds, float* milliseconds) {
  require_idle();
  Slot& slot = slots_[0];
  Variant variant = fill(slot.host_input, images);
  for (int b = 0; b < sizes_.batch; ++b) {
    slot.host_input.parameters[b].own_slot = slot.host_input.parameters[b].reference_slot = b;
  }
  variant.with_match = true;
  std::fill(ring_frames_.begin(), ring_frames_.end(), -1);
  if (variant.with_grid) allocate_grid();
  const cudaStream_t stream = streams_.compute;
  check(cudaMemcpyAsync(slot.device_input.parameters, slot.host_input.parameters, slot.host_input.bytes,
                        cudaMemcpyHostToDevice, stream),
        "while an image was uploaded");
  std::vector<Event> events;
  for (size_t i = 0; i <= stages().size(); ++i) events.emplace_back(cudaEventDefault);
  const auto record = [&](size_t event) {
    check(cudaEventRecordWithFlags(events[event], stream, cudaEventRecordExternal), "while an event was recorded");
  };
  run(slot, variant);  // loads what has to be loaded
  const Graph graph(stream, [&] {
    record(0);
    for_each_step(slot, variant, [&](size_t stage) { record(stage + 1); });
  });
  for (int round = 0; round < rounds; ++round) {
    graph.launch(stream);
    streams_.compute.wait();
    for (size_t i = 0; i < stages().size(); ++i) {
      check(cudaEventElapsedTime(milliseconds++, events[i], events[i + 1]), "while a time was read");
    }
  }
}

template class Plan<__half>;
template class Plan<__nv_bfloat16>;
template class Plan<float>;

}  // namespace aliked_cuda
