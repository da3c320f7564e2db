// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#include "weights.h"

#include <cstring>
#include <functional>
#include <vector>

#include "../checkpoint.h"

namespace aliked_cuda {

namespace {

using aliked_checkpoint::Affine;
using aliked_checkpoint::read_batch_norm;
using aliked_checkpoint::Reader;

// Which input a lane's element of a tile is: tile, the lane's t, element 0 to 3. Negative for none.
using InputOrder = std::function<int(int, int, int)>;
// Which output column n, 8 a tile, is.
using OutputOrder = std::function<int(int)>;

// Inputs as they follow each other in memory.
int in_memory(int tile, int t, int element) { return tile * 16 + 2 * t + element % 2 + element / 2 * 8; }

// Inputs of which lane t has those from channels / 4 * t on.
InputOrder by_lane(int channels) {
  return [channels](int tile, int t, int element) {
    const int own = 4 * tile + element;
    return own < channels / 4 ? t * (channels / 4) + own : -1;
  };
}

// The four levels of the feature map, of which lane t has of each those from D / 16 * t on.
InputOrder by_level(int dim) {
  return [dim](int tile, int t, int element) {
    const int own = 4 * tile + element, each = dim / 16;
    return own / each * (dim / 4) + t * each + own % each;
  };
}

int as_they_are(int column) { return column; }

// Outputs such that lane t computes those from channels / 4 * t on.
OutputOrder for_lanes(int channels) {
  return [channels](int column) {
    const int tile = column / 8, within = column % 8;
    return within / 2 * (channels / 4) + 2 * tile + within % 2;
  };
}

template <typename T>
T converted(float value) {
  if constexpr (std::is_same<T, float>::value) {
    return value;
  } else if constexpr (std::is_same<T, __half>::value) {
    return __float2half_rn(value);
  } else {
    return __float2bfloat16_rn(value);
  }
}

// Collects what goes to the device, and hands out where it will be there.
class Upload {
 public:
  explicit Upload(void* begin) : arena_(begin) {}

  template <typename T>
  const T* add(const std::vector<T>& values) {
    const size_t at = arena_.size();
    const T* place = arena_.take<T>(static_cast<int64_t>(values.size()));
    bytes_.resize(arena_.size());
    std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return place;
  }

  // Weights value(output, input) of a product, as the tiles that load_weights() reads.
  template <typename T, typename F>
  const T* add_tiles(int inputs_tiles, int outputs, const InputOrder& input_of, const OutputOrder& output_of,
                     const F& value) {
    const int columns = (outputs + 7) / 8;
    std::vector<T> tiles;
    for (int k = 0; k < inputs_tiles; ++k) {
      for (int n = 0; n < columns; ++n) {
        for (int lane = 0; lane < 32; ++lane) {
          for (int element = 0; element < 4; ++element) {
            const int column = n * 8 + lane / 4, input = input_of(k, lane % 4, element);
            const bool exists = column < outputs && input >= 0;
            tiles.push_back(converted<T>(exists ? static_cast<float>(value(output_of(column), input)) : 0.0f));
          }
        }
      }
    }
    return add(tiles);
  }

  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  Arena arena_;
  std::vector<unsigned char> bytes_;
};

std::vector<float> as_floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

// A 3x3 convolution's weights by output and input, the inputs tap by tap, and zero where there is none.
struct Taps {
  const float* weights;  // (outputs, channels, 3, 3)
  int channels;
  const Affine* affine;  // the normalisation behind it, or null
  double operator()(int output, int input) const {
    const int tap = input / channels, channel = input % channels;
    if (tap >= 9) return 0.0;
    const double weight = weights[(static_cast<int64_t>(output) * channels + channel) * 9 + tap];
    return affine ? weight * affine->scale[output] : weight;
  }
};

template <typename T>
class Packer {
  using H = Head<T>;

 public:
  Packer(const Model& model, Reader& reader, void* begin) : model_(model), reader_(reader), upload_(begin) {}

  WeightPointers<T, H> pack() {
    const int* channels = model_.channels;
    const int dim = model_.dim, quarter = model_.quarter(), hidden = 2 * model_.positions;
    WeightPointers<T, H> pointers = {};
    pointers.block1[0] = first_convolution(channels[0]);
    pointers.block1[1] = convolution(channels[0], channels[0], 0, for_lanes(channels[0]));
    pointers.block2[0] = convolution(channels[1], channels[0], 0, for_lanes(channels[1]));
    pointers.block2[1] = convolution(channels[1], channels[1], channels[0], for_lanes(channels[1]));
    deformable_block(channels[1], channels[2], pointers.block3_offsets, pointers.block3);
    deformable_block(channels[2], channels[3], pointers.block4_offsets, pointers.block4);

    for (int level = 0; level < 4; ++level) {
      const int inputs = channels[level];
      const float* weights = reader_.take(static_cast<int64_t>(quarter) * inputs);
      const auto value = [&](int output, int input) { return weights[output * inputs + input]; };
      // The first two blocks go on with what their lanes have, the others with what lies in memory.
      pointers.project[level] =
          level < 2 ? upload_.template add_tiles<H>(input_tiles(inputs), quarter, by_lane(inputs), for_lanes(quarter), value)
                    : upload_.template add_tiles<H>(inputs / 16, quarter, in_memory, as_they_are, value);
    }
    const float* combine = reader_.take(static_cast<int64_t>(kScoreWidth) * dim);  // (8, D)
    for (int level = 0; level < 4; ++level) {
      pointers.head[level] = upload_.template add_tiles<H>(
          quarter / 16, kScoreWidth, level < 2 ? by_lane(quarter) : InputOrder(in_memory), as_they_are,
          [&](int output, int input) { return combine[output * dim + level * quarter + input]; });
    }
    pointers.score.wide = score_convolution(kScoreWidth, 4);
    pointers.score.middle = score_convolution(4, 4);
    pointers.score.last = score_convolution(4, 1);
    descriptor_head(pointers, dim, hidden);
    reader_.finish();
    return pointers;
  }

  const std::vector<unsigned char>& bytes() const { return upload_.bytes(); }

 private:
  // Of RGB pixels scaled by 1/256 in rows of four times four numbers, of which the last pixel and colour do not count.
  Convolution<T> first_convolution(int outputs) {
    const float* weights = reader_.take(static_cast<int64_t>(outputs) * 3 * 9);
    const Affine affine = read_batch_norm(reader_, outputs);
    const T* tiles = upload_.template add_tiles<T>(3, outputs, in_memory, for_lanes(outputs), [&](int output, int input) {
      const int row = input / 16, column = input % 16 / 4, colour = input % 4;
      if (column > 2 || colour > 2) return 0.0;
      return weights[(output * 3 + colour) * 9 + row * 3 + column] * affine.scale[output] * (256.0 / 255.0);
    });
    return {tiles, upload_.add(as_floats(affine.shift))};
  }

  // A convolution with its normalisation; with `skipped` channels, the block's 1x1 convolution of its input joins it.
  Convolution<T> convolution(int outputs, int inputs, int skipped, const OutputOrder& output_of) {
    const float* weights = reader_.take(static_cast<int64_t>(outputs) * inputs * 9);
    const Affine affine = read_batch_norm(reader_, outputs);
    const float* downsample = skipped ? reader_.take(static_cast<int64_t>(outputs) * skipped) : nullptr;
    const float* bias = skipped ? reader_.take(outputs) : nullptr;
    const Taps taps = {weights, inputs, &affine};
    const int convolved = 16 * input_tiles(9 * inputs);
    const T* tiles = upload_.template add_tiles<T>(
        input_tiles(9 * inputs) + input_tiles(skipped), outputs, in_memory, output_of, [&](int output, int input) {
          if (input < convolved) return taps(output, input);
          const int channel = input - convolved;
          return channel < skipped ? static_cast<double>(downsample[output * skipped + channel]) : 0.0;
        });
    std::vector<double> shift = affine.shift;
    for (int o = 0; bias && o < outputs; ++o) shift[o] += bias[o];
    return {tiles, upload_.add(as_floats(shift))};
  }

  void deformable_block(int inputs, int outputs, Convolution<T> (&offsets)[2], Convolution<T> (&weights)[2]) {
    offsets[0] = offset_convolution(inputs);
    weights[0] = convolution(outputs, inputs, 0, as_they_are);
    offsets[1] = offset_convolution(outputs);
    weights[1] = convolution(outputs, outputs, inputs, as_they_are);
  }

  Convolution<T> offset_convolution(int inputs) {
    constexpr int kOffsets = 18;
    const Taps taps = {reader_.take(static_cast<int64_t>(kOffsets) * inputs * 9), inputs, nullptr};
    const float* bias = reader_.take(kOffsets);
    const T* tiles = upload_.template add_tiles<T>(input_tiles(9 * inputs), kOffsets, in_memory, as_they_are, taps);
    return {tiles, upload_.add(std::vector<float>(bias, bias + kOffsets))};
  }

  // A convolution of the score head. Eight columns are the outputs at as many pixels below each other as that takes. Their
  // inputs come row by row, three pixels a row, or four with fewer channels, of which the last one has no weight.
  ScoreTiles score_convolution(int inputs, int outputs) {
    const float* weights = reader_.take(static_cast<int64_t>(outputs) * inputs * 9);
    const int rows = 8 / outputs, pixels = inputs == kScoreWidth ? 3 : 4;
    const auto value = [=](int column, int input) {
      const int below = column / outputs, output = column % outputs, channel = input % inputs;
      const int x = input / inputs % pixels, y = input / inputs / pixels - below;
      return x > 2 || y < 0 || y > 2 ? 0.0f : weights[(output * inputs + channel) * 9 + y * 3 + x];
    };
    const auto rest = [=](int column, int input) {
      return value(column, input) - __half2float(converted<__half>(value(column, input)));
    };
    const int tiles = (rows + 2) * pixels * inputs / 16;
    const __half* high = upload_.template add_tiles<__half>(tiles, 8, in_memory, as_they_are, value);
    return {high, upload_.template add_tiles<__half>(tiles, 8, in_memory, as_they_are, rest)};
  }

  void descriptor_head(WeightPointers<T, H>& pointers, int dim, int hidden) {
    const Taps taps = {reader_.take(static_cast<int64_t>(hidden) * dim * 9), dim, nullptr};
    const InputOrder feature = by_level(dim);
    const int tiles = dim / 16;
    pointers.offset_hidden.tiles = upload_.template add_tiles<H>(
        9 * tiles, hidden,
        [&](int tile, int t, int element) { return tile / tiles * dim + feature(tile % tiles, t, element); },
        as_they_are, taps);
    const float* bias = reader_.take(hidden);
    pointers.offset_hidden.bias = upload_.add(std::vector<float>(bias, bias + hidden));
    const float* out = reader_.take(static_cast<int64_t>(hidden) * hidden);
    std::vector<float> transposed(static_cast<size_t>(hidden) * hidden);
    for (int o = 0; o < hidden; ++o) {
      for (int i = 0; i < hidden; ++i) transposed[i * hidden + o] = out[o * hidden + i];
    }
    pointers.offset_out = upload_.add(transposed);
    bias = reader_.take(hidden);
    pointers.offset_out_bias = upload_.add(std::vector<float>(bias, bias + hidden));
    const float* sample = reader_.take(static_cast<int64_t>(dim) * dim);
    pointers.sample = upload_.template add_tiles<H>(tiles, dim, feature, as_they_are,
                                                    [&](int output, int input) { return sample[output * dim + input]; });
    const float* matrices = reader_.take(static_cast<int64_t>(model_.positions) * dim * dim);  // (M, inputs, outputs)
    pointers.aggregate = upload_.template add_tiles<H>(
        model_.positions * tiles, dim, in_memory, as_they_are, [&](int output, int input) {
          return matrices[static_cast<int64_t>(input) * dim + output];  // in_memory() counts through all matrices
        });
  }

  const Model& model_;
  Reader& reader_;
  Upload upload_;
};

}  // namespace

template <typename T>
DeviceWeights<T>::DeviceWeights(const Model& which, const float* blob, int64_t count) : model(which) {
  Reader to_measure(blob, count);
  Packer<T> measure(model, to_measure, nullptr);
  measure.pack();
  memory = DeviceMemory(measure.bytes().size());
  Reader reader(blob, count);
  Packer<T> packer(model, reader, memory.data());
  pointers = packer.pack();
  check(cudaMemcpy(memory.data(), packer.bytes().data(), packer.bytes().size(), cudaMemcpyHostToDevice),
        "while the weights were copied to the device");
  check(wait_for_default_stream(), "while the weights were copied to the device");
}

template struct DeviceWeights<__half>;
template struct DeviceWeights<__nv_bfloat16>;
template struct DeviceWeights<float>;

}  // namespace aliked_cuda
