// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// Photometric alignment of a patch: inverse-compositional Lucas-Kanade (Baker and Matthews, IJCV 56(3), 2004) over an
// affine warp, with gain, offset and a small difference of blur as nuisances. aliked_ros/frontend/alignment.py says the
// same in NumPy and derives it.
#pragma once

#include "../kernels.h"
#include "patch.h"
#include "simd.h"

namespace {

using aliked_cpu::AlignBlock;

constexpr int kBlocks = 3;  // along each side, whose residuals count as independent of each other

// position x, y, then the affine matrix by rows: pixel = position + matrix * (u, v).
ALIKED_INLINE bool stays_inside(const AlignBlock& block, const double (&warp)[kWarp]) {
  for (int corner = 0; corner < 4; ++corner) {
    const double u = corner % 2 ? kHalf : -kHalf, v = corner / 2 ? kHalf : -kHalf;
    const double x = warp[0] + warp[2] * u + warp[3] * v, y = warp[1] + warp[4] * u + warp[5] * v;
    // Half a pixel of room: positions are rounded to float32 below.
    if (!(x >= 0.5 && y >= 0.5 && x <= block.width - 1.5 && y <= block.height - 1.5)) return false;
  }
  return true;
}

// The lanes of two vectors that follow each other in memory, every second one from the first (or second) on.
template <int First, int... Lanes>
ALIKED_INLINE Vec every_second(Vec a, Vec b, LaneList<Lanes...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (2 * Lanes + First)...);
#else
  return __builtin_shuffle(a, b, IntVec{(2 * Lanes + First)...});
#endif
}

// Two vectors of pairs, data[index[lane]] and data[index[lane] + 1], in the order of the lanes. Pairs are loaded at
// once: gather instructions take longer on many processors.
ALIKED_INLINE void load_pairs(const float* data, const int32_t (&index)[kLanes], Vec& first, Vec& second) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  __m128 halves[4];
  ALIKED_UNROLL
  for (int i = 0; i < 4; ++i) {
    const __m128 low = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(data + index[2 * i])));
    halves[i] = _mm_loadh_pi(low, reinterpret_cast<const __m64*>(data + index[2 * i + 1]));
  }
  first = (Vec)_mm256_set_m128(halves[1], halves[0]);
  second = (Vec)_mm256_set_m128(halves[3], halves[2]);
#else
  alignas(64) float pairs[2 * kLanes];
  ALIKED_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) __builtin_memcpy(pairs + 2 * lane, data + index[lane], 2 * sizeof(float));
  first = load(pairs);
  second = load(pairs + kLanes);
#endif
}

// The image through the warp, centred; returns the root of its sum of squares.
double sample_warped(const AlignBlock& block, const double (&warp)[kWarp], Vec (&out)[kPatch][kPatchVectors]) {
  using All = typename MakeLanes<kLanes>::type;
  const int32_t stride = static_cast<int32_t>(block.row_stride);
  Vec sum = {}, squares = {};
  for (int row = 0; row < kPatch; ++row) {
    const double v = row - kHalf;
    const float x0 = static_cast<float>(warp[0] + warp[3] * v), y0 = static_cast<float>(warp[1] + warp[5] * v);
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) {
      const Vec x = x0 + static_cast<float>(warp[2]) * lanes_u(i), y = y0 + static_cast<float>(warp[4]) * lanes_u(i);
      const IntVec left = __builtin_convertvector(x, IntVec), top = __builtin_convertvector(y, IntVec);
      const Vec fx = x - __builtin_convertvector(left, Vec), fy = y - __builtin_convertvector(top, Vec);
      int32_t index[kLanes];
      *reinterpret_cast<IntVecU*>(index) = top * stride + left;
      Vec upper[2], lower[2];
      load_pairs(block.image, index, upper[0], upper[1]);
      load_pairs(block.image + stride, index, lower[0], lower[1]);
      const Vec a = every_second<0>(upper[0], upper[1], All{}), b = every_second<1>(upper[0], upper[1], All{});
      const Vec c = every_second<0>(lower[0], lower[1], All{}), d = every_second<1>(lower[0], lower[1], All{});
      const Vec over = a + (b - a) * fx, under = c + (d - c) * fx;
      out[row][i] = over + (under - over) * fy;
      sum += out[row][i];
    }
  }
  const Vec mean = splat(lane_sum(sum) / kPatchPixels);
  for (auto& row : out) {
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) {
      row[i] -= mean;
      squares += row[i] * row[i];
    }
  }
  return __builtin_sqrt(lane_sum(squares));
}

// Scales the sampled image to the template's contrast and subtracts the template; returns their correlation.
double subtract_template(const PatchSystem& system, double deviation, Vec (&map)[kPatch][kPatchVectors]) {
  const auto& patch = system.columns.nuisance[0];
  const Vec gain = splat(static_cast<float>(system.deviation / (deviation > 1e-3 ? deviation : 1e-3)));
  Vec product = {};
  for (int row = 0; row < kPatch; ++row) {
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) {
      const Vec scaled = map[row][i] * gain;
      product += scaled * patch[row][i];
      map[row][i] = scaled - patch[row][i];
    }
  }
  const double square = system.deviation * system.deviation;
  return lane_sum(product) / (square > 1e-6 ? square : 1e-6);
}

struct Residual {
  double gradient[kWarp];  // of the warp's columns without the nuisances
  double nuisance[kNuisance];  // fitted
  double variance;
};

ALIKED_INLINE Residual project(const PatchSystem& system, const Vec (&map)[kPatch][kPatchVectors]) {
  double sums[kColumns];
  column_products<kNuisance>(system.columns, map, sums);
  Vec squares = {};
  for (const auto& row : map) {
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) squares += row[i] * row[i];
  }
  Residual residual;
  double left = lane_sum(squares);
  for (int n = 0; n < kNuisance; ++n) {
    residual.nuisance[n] = 0.0;
    for (int m = 0; m < kNuisance; ++m) residual.nuisance[n] += system.inverse_nuisance[n][m] * sums[kWarp + m];
    left -= residual.nuisance[n] * sums[kWarp + n];
  }
  for (int i = 0; i < kWarp; ++i) {
    residual.gradient[i] = sums[i];
    for (int n = 0; n < kNuisance; ++n) residual.gradient[i] -= system.share[n][i] * sums[kWarp + n];
  }
  residual.variance = (left > 0.0 ? left : 0.0) / (kPatchPixels - kColumns - 1);
  return residual;
}

// The inverse of the warp's system with its prior: the affine part stays near where it began.
bool invert_with_prior(const PatchSystem& system, double weight, double (&inverse)[kWarp][kWarp]) {
  double matrix[kWarp][kWarp];
  for (int i = 0; i < kWarp; ++i) {
    for (int j = 0; j < kWarp; ++j) matrix[i][j] = system.warp[i][j] + (i == j && i > 1 ? weight : 0.0);
  }
  return invert(matrix, inverse);
}

ALIKED_INLINE double bounded(double value, double limit) {
  return value > limit ? limit : value < -limit ? -limit : value;
}

// W <- W o (step)^-1; returns the squared length of the step in the image.
double compose(double (&warp)[kWarp], const double (&step)[kWarp]) {
  const double a = 1.0 + bounded(step[2], 0.3), b = bounded(step[3], 0.3);
  const double c = bounded(step[4], 0.3), d = 1.0 + bounded(step[5], 0.3);
  const double scale = 1.0 / (a * d - b * c);
  const double inverse[2][2] = {{d * scale, -b * scale}, {-c * scale, a * scale}};
  double matrix[2][2];
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      matrix[i][j] = warp[2 + 2 * i] * inverse[0][j] + warp[3 + 2 * i] * inverse[1][j];
    }
  }
  const double u = bounded(step[0], 2.0), v = bounded(step[1], 2.0);
  const double x = matrix[0][0] * u + matrix[0][1] * v, y = matrix[1][0] * u + matrix[1][1] * v;
  const double moved[kWarp] = {warp[0] - x, warp[1] - y, matrix[0][0], matrix[0][1], matrix[1][0], matrix[1][1]};
  for (int i = 0; i < kWarp; ++i) warp[i] = moved[i];
  return x * x + y * y;
}

// How far the affine part is from where it began, in the template's frame: begin^-1 * matrix - 1.
ALIKED_INLINE void affine_change(const double (&begin)[kWarp], const double (&warp)[kWarp], double (&change)[4]) {
  const double scale = 1.0 / (begin[2] * begin[5] - begin[3] * begin[4]);
  change[0] = (begin[5] * warp[2] - begin[3] * warp[4]) * scale - 1.0;
  change[1] = (begin[5] * warp[3] - begin[3] * warp[5]) * scale;
  change[2] = (begin[2] * warp[4] - begin[4] * warp[2]) * scale;
  change[3] = (begin[2] * warp[5] - begin[4] * warp[3]) * scale - 1.0;
}

// Sums of residual times column over each block of the patch, the nuisances taken out: (blocks, kWarp).
void block_gradients(const PatchSystem& system, const Residual& residual, Vec (&map)[kPatch][kPatchVectors],
                     double (&sums)[kBlocks * kBlocks][kWarp]) {
  double offset = 0.0;
  for (int n = 0; n < kNuisance; ++n) offset += residual.nuisance[n] * system.mean[kWarp + n];
  for (int row = 0; row < kPatch; ++row) {
    for (int i = 0; i < kPatchVectors; ++i) {
      for (int n = 0; n < kNuisance; ++n) {
        map[row][i] -= static_cast<float>(residual.nuisance[n]) * system.columns.nuisance[n][row][i];
      }
      map[row][i] += static_cast<float>(offset);
    }
  }
  for (int band = 0; band < kBlocks; ++band) {
    // Along the band's rows, for each column of the patch: residual times x, x v, y, y v, the nuisances, 1.
    constexpr int kKept = 4 + kNuisance + 1;
    alignas(64) float kept[kKept][kPatch];
    for (int i = 0; i < kPatchVectors; ++i) {
      Vec totals[kKept] = {};
      for (int row = (band * kPatch + kBlocks - 1) / kBlocks; row * kBlocks < (band + 1) * kPatch; ++row) {
        const Vec r = map[row][i], x = system.columns.x[row][i] * r, y = system.columns.y[row][i] * r;
        totals[0] += x;
        totals[1] += x * row_v(row);
        totals[2] += y;
        totals[3] += y * row_v(row);
        ALIKED_UNROLL
        for (int n = 0; n < kNuisance; ++n) totals[4 + n] += system.columns.nuisance[n][row][i] * r;
        totals[4 + kNuisance] += r;
      }
      for (int k = 0; k < kKept; ++k) store(kept[k] + i * kLanes, totals[k]);
    }
    for (int block = 0; block < kBlocks; ++block) {
      double raw[kColumns] = {}, plain = 0.0;
      for (int column = (block * kPatch + kBlocks - 1) / kBlocks; column * kBlocks < (block + 1) * kPatch; ++column) {
        const double u = column - kHalf;
        const double values[kWarp] = {kept[0][column],     kept[2][column], kept[0][column] * u,
                                      kept[1][column],     kept[2][column] * u, kept[3][column]};
        for (int k = 0; k < kWarp; ++k) raw[k] += values[k];
        for (int n = 0; n < kNuisance; ++n) raw[kWarp + n] += kept[4 + n][column];
        plain += kept[4 + kNuisance][column];
      }
      for (int k = 0; k < kColumns; ++k) raw[k] -= system.mean[k] * plain;
      for (int k = 0; k < kWarp; ++k) {
        double& sum = sums[band * kBlocks + block][k];
        sum = raw[k];
        for (int n = 0; n < kNuisance; ++n) sum -= system.share[n][k] * raw[kWarp + n];
      }
    }
  }
}

// 1-sigma error along an axis of the image, from how much the patch's blocks disagree: a cluster-robust covariance.
double position_sigma(const PatchSystem& system, const Residual& residual, const double (&warp)[kWarp],
                      const double (&inverse)[kWarp][kWarp], double prior, Vec (&map)[kPatch][kPatchVectors]) {
  double gradients[kBlocks * kBlocks][kWarp];
  block_gradients(system, residual, map, gradients);
  double parameters = kWarp;  // those that the prior leaves free
  for (int k = 2; k < kWarp; ++k) parameters -= prior * inverse[k][k];
  double variance = 0.0;
  for (int axis = 0; axis < 2; ++axis) {
    double row[kWarp];  // from a gradient to the position along this axis
    for (int k = 0; k < kWarp; ++k) {
      row[k] = warp[2 + 2 * axis] * inverse[0][k] + warp[3 + 2 * axis] * inverse[1][k];
    }
    for (const auto& gradient : gradients) {
      double change = 0.0;
      for (int k = 0; k < kWarp; ++k) change += row[k] * gradient[k];
      variance += change * change;
    }
  }
  const double blocks = kBlocks * kBlocks, free = blocks - parameters;
  return __builtin_sqrt(0.5 * variance * blocks / (free > 1.0 ? free : 1.0));
}

// false where the patch leaves the image or has no texture; the warp is then where that was noticed.
bool align_one(const AlignBlock& block, const PatchSystem& system, double (&warp)[kWarp], float* quality) {
  double begin[kWarp], inverse[kWarp][kWarp], change[4], step[kWarp];
  for (int i = 0; i < kWarp; ++i) begin[i] = warp[i];
  Vec map[kPatch][kPatchVectors];
  for (int iteration = 0;; ++iteration) {
    if (!stays_inside(block, warp)) return false;
    const double correlation = subtract_template(system, sample_warped(block, warp, map), map);
    const Residual residual = project(system, map);
    const double prior = block.prior * residual.variance;
    if (!invert_with_prior(system, prior, inverse)) return false;
    affine_change(begin, warp, change);
    for (int i = 0; i < kWarp; ++i) {
      step[i] = 0.0;
      for (int k = 0; k < kWarp; ++k) {
        step[i] += inverse[i][k] * (residual.gradient[k] + (k > 1 ? prior * change[k - 2] : 0.0));
      }
    }
    const double moved = compose(warp, step);
    const bool converged = moved <= block.tolerance * block.tolerance;
    if (converged || iteration + 1 >= block.max_iterations) {
      quality[0] = static_cast<float>(position_sigma(system, residual, warp, inverse, prior, map));
      quality[1] = static_cast<float>(correlation);
      return converged;
    }
  }
}

void align(const AlignBlock& block) {
  PatchSystem system;
  for (int point = 0; point < block.count; ++point) {
    float *warp = block.warps + kWarp * point, *quality = block.quality + 2 * point;
    double found[kWarp];
    for (int i = 0; i < kWarp; ++i) found[i] = warp[i];
    const float* patch = block.patches + static_cast<int64_t>(block.rows[point]) * kTemplateWidth * kTemplateWidth;
    __builtin_memcpy(static_cast<PatchStatistics*>(&system),
                     block.statistics + static_cast<int64_t>(block.rows[point]) * aliked_cpu::kPatchStatistics,
                     sizeof(PatchStatistics));
    differentiate(patch, system.columns);
    if (system.deviation == system.deviation && align_one(block, system, found, quality)) {
      for (int i = 0; i < kWarp; ++i) warp[i] = static_cast<float>(found[i]);
    } else {
      quality[0] = __builtin_nanf("");
      quality[1] = __builtin_nanf("");
    }
  }
}

}  // namespace
