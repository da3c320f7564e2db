// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers of three types: how they are stored, read in runs, and multiplied by warps in tiles.
//
// A warp multiplies tiles of 16 rows and 16 inputs by tiles of 16 inputs and 8 columns. Lane 4 g + t of a warp holds
// of the first tile rows g and g + 8, inputs 2t, 2t + 1, 2t + 8 and 2t + 9; of the second column g and the same
// inputs; of the product rows g and g + 8, columns 2t and 2t + 1. So a product is, once converted, the first tile of a
// further product, which is how layers follow each other without leaving the registers. float is multiplied by tensor
// cores, too: as sums of parts that these keep, good to about 21 bits.
#pragma once

#include <type_traits>

#include "platform.cuh"

namespace aliked_cuda {

// The type in which what follows the encoder is computed when the encoder computes in T: bfloat16 has too few digits.
template <typename T>
struct HeadOf {
  using Type = __half;
};
template <>
struct HeadOf<float> {
  using Type = float;
};
template <typename T>
using Head = typename HeadOf<T>::Type;

// Two 16-bit numbers in a word, the lower one first.
template <typename T>
__device__ __forceinline__ uint32_t pack(float low, float high) {
  T both[2];
  if constexpr (std::is_same<T, __half>::value) {
    both[0] = __float2half_rn(low);
    both[1] = __float2half_rn(high);
  } else {
    both[0] = __float2bfloat16_rn(low);
    both[1] = __float2bfloat16_rn(high);
  }
  uint32_t word;
  memcpy(&word, both, sizeof word);
  return word;
}

template <typename T>
__device__ __forceinline__ float2 unpack(uint32_t word) {
  T both[2];
  memcpy(both, &word, sizeof word);
  float2 values;
  if constexpr (std::is_same<T, __half>::value) {
    values.x = __half2float(both[0]);
    values.y = __half2float(both[1]);
  } else {
    values.x = __bfloat162float(both[0]);
    values.y = __bfloat162float(both[1]);
  }
  return values;
}

// Words of a vector load: the widest that a run of N elements allows.
template <int kBytes>
struct VectorOf;
template <>
struct VectorOf<4> {
  using Type = uint32_t;
};
template <>
struct VectorOf<8> {
  using Type = uint2;
};
template <>
struct VectorOf<16> {
  using Type = uint4;
};

// N elements that follow each other in memory, aligned to their size or to 16 bytes, as floats.
template <typename T, int N>
__device__ __forceinline__ void load_run(const T* from, float (&values)[N]) {
  constexpr int kBytes = N * static_cast<int>(sizeof(T)), kVector = kBytes < 16 ? kBytes : 16;
  using Vector = typename VectorOf<kVector>::Type;
  constexpr int kWords = kVector / 4;
#pragma unroll
  for (int v = 0; v < kBytes / kVector; ++v) {
    union {
      Vector vector;
      uint32_t words[kWords];
    } read;
    read.vector = reinterpret_cast<const Vector*>(from)[v];
#pragma unroll
    for (int word = 0; word < kWords; ++word) {
      if constexpr (sizeof(T) == 4) {
        values[v * kWords + word] = __uint_as_float(read.words[word]);
      } else {
        const float2 both = unpack<T>(read.words[word]);
        values[2 * (v * kWords + word)] = both.x;
        values[2 * (v * kWords + word) + 1] = both.y;
      }
    }
  }
}

template <typename T, int N>
__device__ __forceinline__ void store_run(T* to, const float (&values)[N]) {
  constexpr int kBytes = N * static_cast<int>(sizeof(T)), kVector = kBytes < 16 ? kBytes : 16;
  using Vector = typename VectorOf<kVector>::Type;
  constexpr int kWords = kVector / 4;
#pragma unroll
  for (int v = 0; v < kBytes / kVector; ++v) {
    union {
      Vector vector;
      uint32_t words[kWords];
    } written;
#pragma unroll
    for (int word = 0; word < kWords; ++word) {
      if constexpr (sizeof(T) == 4) {
        written.words[word] = __float_as_uint(values[v * kWords + word]);
      } else {
        written.words[word] = pack<T>(values[2 * (v * kWords + word)], values[2 * (v * kWords + word) + 1]);
      }
    }
    reinterpret_cast<Vector*>(to)[v] = written.vector;
  }
}

// A sum of weighted runs of N elements of a map. float16 is summed as such, two numbers at a time: what is made of the
// sums is rounded to it anyway.
template <typename T, int N>
struct WeightedRuns {
  float sums[N] = {};

  __device__ __forceinline__ void add(const T* run, float weight) {
    float values[N];
    load_run<T, N>(run, values);
#pragma unroll
    for (int i = 0; i < N; ++i) sums[i] += weight * values[i];
  }
  __device__ __forceinline__ void get(float (&values)[N]) const {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = sums[i];
  }
  __device__ __forceinline__ void store(T* to) const { store_run<T, N>(to, sums); }
};
template <int N>
struct WeightedRuns<__half, N> {
  static constexpr int kBytes = 2 * N, kVectorBytes = kBytes < 16 ? kBytes : 16, kVectors = kBytes / kVectorBytes;
  using Vector = typename VectorOf<kVectorBytes>::Type;
  union Words {
    Vector vectors[kVectors];
    uint32_t words[N / 2];
  };
  uint32_t sums[N / 2] = {};

  __device__ __forceinline__ void add(const __half* run, float weight) {
    Words read;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) read.vectors[i] = reinterpret_cast<const Vector*>(run)[i];
    const uint32_t weights = pack<__half>(weight, weight);
#pragma unroll
    for (int i = 0; i < N / 2; ++i) sums[i] = multiply_add_halves(weights, read.words[i], sums[i]);
  }
  __device__ __forceinline__ void get(float (&values)[N]) const {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      const float2 both = unpack<__half>(sums[i]);
      values[2 * i] = both.x;
      values[2 * i + 1] = both.y;
    }
  }
  __device__ __forceinline__ void store(__half* to) const {
    Words written;
#pragma unroll
    for (int i = 0; i < N / 2; ++i) written.words[i] = sums[i];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) reinterpret_cast<Vector*>(to)[i] = written.vectors[i];
  }
};

// SELU (arXiv 1706.02515).
__device__ __forceinline__ float selu(float x) {
  constexpr float kScale = 1.0507009873554805f, kAlpha = 1.6732632423543772f;
  // Without a branch; one of the two parts is zero.
  return kScale * fmaxf(x, 0.0f) + (kScale * kAlpha * __expf(fminf(x, 0.0f)) - kScale * kAlpha);
}

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x) % 32; }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x) / 32; }

// A lane's share of a tile of 16 rows and 16 inputs.
template <typename T>
struct RowTile {
  uint32_t words[4];  // (row g: 2t, 2t + 1), (row g + 8: the same), (row g: 2t + 8, 2t + 9), (row g + 8)
};
template <>
struct RowTile<float> {
  float values[8];  // row g: inputs 2t, 2t + 1, 2t + 8, 2t + 9; row g + 8 likewise
};

// A lane's share of a tile of 16 inputs and 8 columns.
template <typename T>
struct ColumnTile {
  uint32_t words[2];
};
template <>
struct ColumnTile<float> {
  float values[4];
};

// A product, or its sums so far.
struct Sums {
  float values[4];  // (row g, columns 2t and 2t + 1), (row g + 8, the same columns)
};

// Weights lie in memory tile by tile as the lanes want them: four elements for each lane. With kAhead they are read as
// data that never changes, which compilers do long before it is needed, and out of loops; that takes registers.
template <typename T, bool kAhead = false>
__device__ __forceinline__ ColumnTile<T> load_weights(const T* tiles, int tile) {
  using Four = typename VectorOf<4 * sizeof(T)>::Type;
  const Four* own = reinterpret_cast<const Four*>(tiles + lane_id() * 4 + tile * 128);
  const Four four = kAhead ? __ldg(own) : *own;
  ColumnTile<T> loaded;
  memcpy(&loaded, &four, sizeof loaded);
  return loaded;
}

// Where the rows of a tile begin in shared memory, as this lane has to know it. Rows begin at multiples of 16 bytes.
template <typename T>
struct TileRows {
  const T* first;   // 16-bit types: of row lane % 16, at the lane's half of the inputs; float: of row g, at 2t
  const T* second;  // float: of row g + 8, at 2t

  __device__ __forceinline__ TileRows(const T* row, const T* row_8) : first(row), second(row_8) {}

  // row_begin(r) is the address of row r.
  template <typename F>
  __device__ __forceinline__ explicit TileRows(const F& row_begin) {
    const int lane = lane_id();
    if constexpr (sizeof(T) == 4) {
      first = row_begin(lane / 4) + lane % 4 * 2;
      second = row_begin(lane / 4 + 8) + lane % 4 * 2;
    } else {
      first = second = row_begin(lane % 16);
    }
  }

  // The tile whose inputs 0 to 7 lie at one offset from the rows' beginnings and 8 to 15 at another.
  __device__ __forceinline__ RowTile<T> load(int low, int high) const {
    RowTile<T> tile;
    if constexpr (sizeof(T) == 4) {
      const float2 parts[4] = {
          *reinterpret_cast<const float2*>(first + low), *reinterpret_cast<const float2*>(first + high),
          *reinterpret_cast<const float2*>(second + low), *reinterpret_cast<const float2*>(second + high)};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        tile.values[2 * i] = parts[i].x;
        tile.values[2 * i + 1] = parts[i].y;
      }
    } else {
      load_matrices(tile.words, first + (lane_id() < 16 ? low : high));
    }
    return tile;
  }
  __device__ __forceinline__ RowTile<T> load(int offset) const { return load(offset, offset + 8); }
};

// The elements of a lane from memory of any alignment to two elements: rows g and g + 8 begin where the pointers say.
template <typename T>
__device__ __forceinline__ RowTile<T> load_rows(const T* row, const T* row_8) {
  const int at = lane_id() % 4 * 2;
  RowTile<T> tile;
  if constexpr (sizeof(T) == 4) {
    const T* const parts[4] = {row + at, row + at + 8, row_8 + at, row_8 + at + 8};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 two = *reinterpret_cast<const float2*>(parts[i]);
      tile.values[2 * i] = two.x;
      tile.values[2 * i + 1] = two.y;
    }
  } else {
    tile.words[0] = *reinterpret_cast<const uint32_t*>(row + at);
    tile.words[1] = *reinterpret_cast<const uint32_t*>(row_8 + at);
    tile.words[2] = *reinterpret_cast<const uint32_t*>(row + at + 8);
    tile.words[3] = *reinterpret_cast<const uint32_t*>(row_8 + at + 8);
  }
  return tile;
}

// A tile of what this lane has computed: of row g and of row g + 8 the four inputs that are its own.
template <typename T>
__device__ __forceinline__ RowTile<T> tile_of(const float (&row)[4], const float (&row_8)[4]) {
  RowTile<T> tile;
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      tile.values[i] = row[i];
      tile.values[4 + i] = row_8[i];
    }
  } else {
    tile.words[0] = pack<T>(row[0], row[1]);
    tile.words[1] = pack<T>(row_8[0], row_8[1]);
    tile.words[2] = pack<T>(row[2], row[3]);
    tile.words[3] = pack<T>(row_8[2], row_8[3]);
  }
  return tile;
}

// Two products that lie beside each other, as the first tile of another product.
template <typename T>
__device__ __forceinline__ RowTile<T> tile_of(const Sums& left, const Sums& right) {
  const float row[4] = {left.values[0], left.values[1], right.values[0], right.values[1]};
  const float row_8[4] = {left.values[2], left.values[3], right.values[2], right.values[3]};
  return tile_of<T>(row, row_8);
}

template <typename T>
__device__ __forceinline__ void multiply(Sums& sums, const RowTile<T>& a, const ColumnTile<T>& b) {
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const float factors_a[4] = {a.values[2 * step], a.values[4 + 2 * step], a.values[2 * step + 1],
                                  a.values[4 + 2 * step + 1]};
      const float factors_b[2] = {b.values[2 * step], b.values[2 * step + 1]};
      uint32_t high_a[4], low_a[4], high_b[2], low_b[2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        high_a[i] = __float_as_uint(factors_a[i]) & 0xFFFFE000u;
        low_a[i] = __float_as_uint(factors_a[i] - __uint_as_float(high_a[i]));
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        high_b[i] = __float_as_uint(factors_b[i]) & 0xFFFFE000u;
        low_b[i] = __float_as_uint(factors_b[i] - __uint_as_float(high_b[i]));
      }
      multiply_16x8x8(sums.values, low_a, high_b);
      multiply_16x8x8(sums.values, high_a, low_b);
      multiply_16x8x8(sums.values, high_a, high_b);
    }
  } else {
    multiply_16x8x16<T>(sums.values, a.words, b.words);
  }
}

// Bytes between the pixels of a map in shared memory, in elements: so that eight rows of a tile meet all banks.
__host__ __device__ constexpr int padded_channels(int channels) { return channels == 8 ? 8 : channels + 8; }

// Offsets of input tile k of a 3x3 convolution from a pixel's upper left neighbour, for its lower and upper half; the
// inputs are tap by tap, channel by channel. With 8 channels a tile has two taps, of which the last one has no weight.
struct TapOffsets {
  int low, high;
};
template <int kChannels>
__device__ __forceinline__ constexpr TapOffsets tap_offsets(int k, int row_pixels, int pixel) {
  if (kChannels == 8) {
    const int first = 2 * k, second = 2 * k + 1 < 9 ? 2 * k + 1 : 8;
    return {(first / 3 * row_pixels + first % 3) * pixel, (second / 3 * row_pixels + second % 3) * pixel};
  }
  const int tap = k * 16 / kChannels, channel = k * 16 % kChannels;
  const int at = (tap / 3 * row_pixels + tap % 3) * pixel + channel;
  return {at, at + 8};
}

// Tiles of 16 inputs that so many inputs take.
__host__ __device__ constexpr int input_tiles(int inputs) { return (inputs + 15) / 16; }

}  // namespace aliked_cuda
