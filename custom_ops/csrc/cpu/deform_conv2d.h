// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// CPU kernels of deform_conv2d, for one image stored as (H, W, C): all channels of a pixel lie together, so
// that one set of bilinear weights serves a contiguous run. Columns are (positions, taps, C), offsets (taps,
// 2, positions). Each kernel works on a range and no result depends on how the ranges are cut.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "aliked_ops/deform.h"

namespace aliked_ops::cpu {

template <typename Real>
Sample<Real> sample_of(const DeformGeometry& geometry, const Real* offset, int64_t tap, int64_t position) {
  const Real* shift = offset + 2 * tap * geometry.positions() + position;
  return aliked_ops::sample_of(geometry, tap, position, shift[0], shift[geometry.positions()]);
}

// Samples the image for positions [begin, end); columns starts at position `begin`.
template <typename Real>
void sample_columns(const DeformGeometry& geometry, const Real* image, const Real* offset, int64_t begin, int64_t end,
                    Real* columns) {
  const int64_t channels = geometry.channels, taps = geometry.taps();
  const std::vector<Real> zeros(channels, Real(0));
  for (int64_t position = begin; position < end; ++position) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const Sample<Real> sample = sample_of(geometry, offset, tap, position);
      // A pixel outside is read as zeros, not skipped by a zero weight: that would turn an infinity into NaN.
      const auto corner = [&](int i) {
        return sample.pixel[i] < 0 ? zeros.data() : image + sample.pixel[i] * channels;
      };
      const Real *p0 = corner(0), *p1 = corner(1), *p2 = corner(2), *p3 = corner(3);
      const Real w0 = sample.weight(0), w1 = sample.weight(1), w2 = sample.weight(2), w3 = sample.weight(3);
      Real* __restrict column = columns + ((position - begin) * taps + tap) * channels;
      for (int64_t c = 0; c < channels; ++c) column[c] = w0 * p0[c] + w1 * p1[c] + w2 * p2[c] + w3 * p3[c];
    }
  }
}

// Sum of products in eight fixed partial sums, which a compiler may keep in a vector register without
// reordering.
template <typename Real>
Real dot(const Real* a, const Real* b, int64_t count) {
  Real sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (int lane = 0; i < count; ++i, ++lane) sums[lane] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Gradient of the offsets for positions [begin, end). grad_columns starts at position 0.
template <typename Real>
void offset_backward(const DeformGeometry& geometry, const Real* image, const Real* offset, const Real* grad_columns,
                     int64_t begin, int64_t end, Real* grad_offset) {
  const int64_t channels = geometry.channels, taps = geometry.taps(), positions = geometry.positions();
  for (int64_t position = begin; position < end; ++position) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const Sample<Real> sample = sample_of(geometry, offset, tap, position);
      const Real* grad_column = grad_columns + (position * taps + tap) * channels;
      Real grad_y = 0, grad_x = 0;
      for (int corner = 0; corner < 4; ++corner) {
        if (sample.pixel[corner] < 0) continue;
        const Real product = dot(grad_column, image + sample.pixel[corner] * channels, channels);
        grad_y += sample.weight_dy(corner) * product;
        grad_x += sample.weight_dx(corner) * product;
      }
      grad_offset[2 * tap * positions + position] = grad_y;
      grad_offset[(2 * tap + 1) * positions + position] = grad_x;
    }
  }
}

// Adds the gradient of channels [begin, end) to a zeroed (H, W, C) image, in the order of positions and taps.
template <typename Real>
void image_backward(const DeformGeometry& geometry, const Real* offset, const Real* grad_columns, int64_t begin,
                    int64_t end, Real* grad_image) {
  const int64_t channels = geometry.channels, taps = geometry.taps();
  for (int64_t position = 0; position < geometry.positions(); ++position) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const Sample<Real> sample = sample_of(geometry, offset, tap, position);
      const Real* __restrict grad_column = grad_columns + (position * taps + tap) * channels;
      for (int corner = 0; corner < 4; ++corner) {
        if (sample.pixel[corner] < 0) continue;
        const Real weight = sample.weight(corner);
        Real* __restrict target = grad_image + sample.pixel[corner] * channels;
        for (int64_t c = begin; c < end; ++c) target[c] += weight * grad_column[c];
      }
    }
  }
}

}  // namespace aliked_ops::cpu
