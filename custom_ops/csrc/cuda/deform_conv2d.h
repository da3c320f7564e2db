// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What one CUDA thread of deform_conv2d does, as functors that a host compiler takes too, so that tests
// without a GPU can run them. Layouts: images (B, C, H, W), offsets (B, taps, 2, positions), columns (B, C,
// taps, positions).
#pragma once

#include <cstdint>

#include "aliked_ops/deform.h"
#include "channels.h"

namespace aliked_ops::cuda {

// One sample of the batch: kernel tap `tap` for output pixel `position` of image `image`.
struct SampleIndex {
  int64_t image, tap, position;

  template <typename Index>
  static ALIKED_HD SampleIndex of(const DeformGeometry& geometry, Index i) {
    const Index positions = static_cast<Index>(geometry.positions()), taps = static_cast<Index>(geometry.taps());
    const Index rest = i / positions;
    return {rest / taps, rest % taps, i % positions};
  }
};

template <typename T>
ALIKED_HD Sample<RealOf<T>> sample_of(const DeformGeometry& geometry, const T* offsets, const SampleIndex& at) {
  const int64_t positions = geometry.positions();
  const T* shift = offsets + 2 * (at.image * geometry.taps() + at.tap) * positions + at.position;
  return aliked_ops::sample_of(geometry, at.tap, at.position, Numeric<T>::load(shift[0]),
                               Numeric<T>::load(shift[positions]));
}

// The samples of a few channels at one place. Threads that follow each other write positions that do.
template <typename T>
struct DeformColumns {
  DeformGeometry geometry;
  const T* images;
  const T* offsets;
  T* columns;

  int64_t count() const {
    return geometry.batch * channel_groups(geometry.channels) * geometry.taps() * geometry.positions();
  }

  template <typename Index>
  ALIKED_HD void operator()(Index i) const {
    const Index samples = static_cast<Index>(geometry.taps() * geometry.positions());
    const Index groups = static_cast<Index>(channel_groups(geometry.channels));
    const int64_t image = i / samples / groups, begin = static_cast<int64_t>(i / samples % groups) * kChannelsPerThread;
    SampleIndex at = SampleIndex::of(geometry, static_cast<Index>(i % samples));
    at.image = image;
    const Sample<RealOf<T>> sample = sample_of(geometry, offsets, at);
    for (int64_t c = begin; c < group_end(begin, geometry.channels); ++c) {
      const int64_t plane = image * geometry.channels + c;
      const T* pixels = images + plane * geometry.pixels();
      RealOf<T> value = 0;
      for (int corner = 0; corner < 4; ++corner) {
        if (sample.pixel[corner] < 0) continue;
        value += sample.weight(corner) * Numeric<T>::load(pixels[sample.pixel[corner]]);
      }
      columns[plane * samples + i % samples] = Numeric<T>::store(value);
    }
  }
};

// The gradient of one sample's two offsets.
template <typename T>
struct DeformOffsetsBackward {
  DeformGeometry geometry;
  const T* images;
  const T* offsets;
  const T* grad_columns;
  T* grad_offsets;

  int64_t count() const { return geometry.batch * geometry.taps() * geometry.positions(); }

  template <typename Index>
  ALIKED_HD void operator()(Index i) const {
    const SampleIndex at = SampleIndex::of(geometry, i);
    const Sample<RealOf<T>> sample = sample_of(geometry, offsets, at);
    const int64_t positions = geometry.positions();
    RealOf<T> grad_y = 0, grad_x = 0;
    for (int64_t c = 0; c < geometry.channels; ++c) {
      const int64_t plane = at.image * geometry.channels + c;
      const RealOf<T> grad =
          Numeric<T>::load(grad_columns[(plane * geometry.taps() + at.tap) * positions + at.position]);
      const T* pixels = images + plane * geometry.pixels();
      for (int corner = 0; corner < 4; ++corner) {
        if (sample.pixel[corner] < 0) continue;
        const RealOf<T> product = grad * Numeric<T>::load(pixels[sample.pixel[corner]]);
        grad_y += sample.weight_dy(corner) * product;
        grad_x += sample.weight_dx(corner) * product;
      }
    }
    T* target = grad_offsets + 2 * (at.image * geometry.taps() + at.tap) * positions + at.position;
    target[0] = Numeric<T>::store(grad_y);
    target[positions] = Numeric<T>::store(grad_x);
  }
};

// The pixels one sample reads, numbered through the batch (B * H * W when outside), and its weights there.
template <typename T>
struct DeformCorners {
  DeformGeometry geometry;
  const T* offsets;
  int64_t* bins;
  RealOf<T>* weights;

  int64_t count() const { return geometry.batch * geometry.taps() * geometry.positions(); }

  template <typename Index>
  ALIKED_HD void operator()(Index i) const {
    const SampleIndex at = SampleIndex::of(geometry, i);
    const Sample<RealOf<T>> sample = sample_of(geometry, offsets, at);
    for (int corner = 0; corner < 4; ++corner) {
      const int64_t entry = 4 * static_cast<int64_t>(i) + corner, pixel = sample.pixel[corner];
      bins[entry] = pixel < 0 ? geometry.batch * geometry.pixels() : at.image * geometry.pixels() + pixel;
      weights[entry] = sample.weight(corner);
    }
  }
};

// One pixel of the images' gradient, for a few channels: the sum over the corners that lie on it.
template <typename T>
struct DeformImagesBackward {
  DeformGeometry geometry;
  const T* grad_columns;
  const int64_t* order;
  const int64_t* starts;
  const RealOf<T>* weights;
  T* grad_images;

  int64_t count() const { return geometry.batch * channel_groups(geometry.channels) * geometry.pixels(); }

  template <typename Index>
  ALIKED_HD void operator()(Index i) const {
    const Index pixels = static_cast<Index>(geometry.pixels());
    const Index groups = static_cast<Index>(channel_groups(geometry.channels));
    const int64_t pixel = i % pixels, image = i / pixels / groups;
    const int64_t begin = static_cast<int64_t>(i / pixels % groups) * kChannelsPerThread;
    const int64_t samples = geometry.taps() * geometry.positions(), bin = image * pixels + pixel;
    for (int64_t c = begin; c < group_end(begin, geometry.channels); ++c) {
      const int64_t plane = image * geometry.channels + c;
      RealOf<T> total = 0;
      for (int64_t at = starts[bin]; at < starts[bin + 1]; ++at) {
        // Every entry of this bin is of this image.
        const int64_t sample = order[at] / 4 - image * samples;
        total += weights[order[at]] * Numeric<T>::load(grad_columns[plane * samples + sample]);
      }
      grad_images[plane * pixels + pixel] = Numeric<T>::store(total);
    }
  }
};

}  // namespace aliked_ops::cuda
