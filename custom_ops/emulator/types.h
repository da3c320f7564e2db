// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CUDA's words and types: function and variable attributes, short vectors, and the two 16-bit floating-point numbers.
#pragma once

#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(8) int2 {
  int x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};
struct alignas(4) ushort2 {
  unsigned short x, y;
};

inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }
inline ushort2 make_ushort2(unsigned short x, unsigned short y) { return {x, y}; }

struct __half {
  uint16_t bits;
};
struct __nv_bfloat16 {
  uint16_t bits;
};

namespace emulator {

// The bits of one value as another type of the same size.
template <typename To, typename From>
inline To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

constexpr uint32_t kFloatInfinity = 0x7f800000;

}  // namespace emulator

inline __half __float2half_rn(float value) {
  const uint32_t bits = emulator::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t rounded;
  if (magnitude > emulator::kFloatInfinity) return {0x7fff};
  if (magnitude >= 0x477ff000) {  // 65520, halfway between the largest finite number and 2^16
    rounded = 0x7c00;
  } else if (magnitude < 0x38800000) {  // 2^-14: subnormals are multiples of 2^-24, which is what 0.5f rounds to
    rounded = emulator::bit_cast<uint32_t>(emulator::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  } else {
    rounded = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | rounded)};
}

inline float __half2float(__half value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16, magnitude = value.bits & 0x7fff;
  uint32_t bits;
  if (magnitude >= 0x7c00) {
    bits = emulator::kFloatInfinity | magnitude << 13;
  } else if (magnitude < 0x400) {
    bits = emulator::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  } else {
    bits = (magnitude << 13) + 0x38000000;
  }
  return emulator::bit_cast<float>(sign | bits);
}

inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  const uint32_t bits = emulator::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > emulator::kFloatInfinity) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline float __bfloat162float(__nv_bfloat16 value) {
  return emulator::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}
