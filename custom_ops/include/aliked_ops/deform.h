// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Where a deformable convolution (v1, arXiv 1703.06211) samples its map, and with which weights.
#pragma once

#include <cmath>
#include <cstdint>

#include "aliked_ops/numeric.h"

namespace aliked_ops {

struct DeformGeometry {
  int64_t batch, channels, height, width;
  int64_t kernel_height, kernel_width;
  int64_t stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
  int64_t output_height, output_width;

  ALIKED_HD int64_t taps() const { return kernel_height * kernel_width; }
  ALIKED_HD int64_t pixels() const { return height * width; }
  ALIKED_HD int64_t positions() const { return output_height * output_width; }
};

// A bilinear sample: value = sum over the four corners of weight(corner) * map[pixel[corner]].
template <typename Real>
struct Sample {
  int64_t pixel[4];  // row * width + column of the upper left, upper right, lower left, lower right pixel;
                     // -1: outside
  Real down, right;  // distance in pixels from the upper left one, in [0, 1)

  ALIKED_HD Real weight(int corner) const { return share_y(corner) * share_x(corner); }
  // Derivatives of the weight by the sampling position.
  ALIKED_HD Real weight_dy(int corner) const { return (corner & 2) ? share_x(corner) : -share_x(corner); }
  ALIKED_HD Real weight_dx(int corner) const { return (corner & 1) ? share_y(corner) : -share_y(corner); }

 private:
  ALIKED_HD Real share_y(int corner) const { return (corner & 2) ? down : 1 - down; }
  ALIKED_HD Real share_x(int corner) const { return (corner & 1) ? right : 1 - right; }
};

// The sample at (y, x). At y <= -1, y >= height, x <= -1, x >= width or NaN every corner is outside.
template <typename Real>
ALIKED_HD Sample<Real> sample_at(Real y, Real x, int64_t height, int64_t width) {
  Sample<Real> sample{{-1, -1, -1, -1}, 0, 0};
  // Written so that NaN fails: a NaN or a huge value must not be converted to an integer.
  const bool near_map = y > -1 && y < static_cast<Real>(height) && x > -1 && x < static_cast<Real>(width);
  if (!near_map) return sample;
  const Real top = std::floor(y), left = std::floor(x);
  sample.down = y - top;
  sample.right = x - left;
  const int64_t row = static_cast<int64_t>(top), column = static_cast<int64_t>(left);
  for (int corner = 0; corner < 4; ++corner) {
    const int64_t r = row + (corner >> 1), c = column + (corner & 1);
    if (r >= 0 && r < height && c >= 0 && c < width) sample.pixel[corner] = r * width + c;
  }
  return sample;
}

// The sample that kernel tap `tap` takes for output pixel `position`, shifted by its offset.
template <typename Real>
ALIKED_HD Sample<Real> sample_of(const DeformGeometry& geometry, int64_t tap, int64_t position, Real shift_y,
                                 Real shift_x) {
  const int64_t y = position / geometry.output_width * geometry.stride_y - geometry.padding_y +
                    tap / geometry.kernel_width * geometry.dilation_y;
  const int64_t x = position % geometry.output_width * geometry.stride_x - geometry.padding_x +
                    tap % geometry.kernel_width * geometry.dilation_x;
  return sample_at(static_cast<Real>(y) + shift_y, static_cast<Real>(x) + shift_x, geometry.height, geometry.width);
}

}  // namespace aliked_ops
