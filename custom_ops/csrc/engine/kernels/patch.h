// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What the alignment of a patch computes of the patch alone: derivatives, and the linear system without its nuisances.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace {

using aliked_cpu::kPatch;
using aliked_cpu::kPatchBorder;

constexpr int kWarp = 6;      // d_x, d_y, then the affine part by rows
constexpr int kNuisance = 4;  // template, its second derivatives xx, xy, yy; the offset goes with the means
constexpr int kColumns = kWarp + kNuisance;
constexpr int kPatchVectors = kPatch / kLanes;
constexpr int kPatchPixels = kPatch * kPatch;
constexpr int kTemplateWidth = kPatch + 2 * kPatchBorder;
constexpr double kHalf = 0.5 * (kPatch - 1);
constexpr double kRidge = 1e-3;

// The columns of the linear system but for the affine ones, which are x and y derivatives times u or v.
struct PatchColumns {
  Vec x[kPatch][kPatchVectors], y[kPatch][kPatchVectors];
  Vec nuisance[kNuisance][kPatch][kPatchVectors];
};

// What depends on the patch alone, kept beside it.
struct PatchStatistics {
  double deviation;  // root of the sum of squares of the centred template; NaN where nothing can be found
  double mean[kColumns];
  double warp[kWarp][kWarp];  // without the nuisances
  double inverse_nuisance[kNuisance][kNuisance];
  double share[kNuisance][kWarp];  // of each nuisance in each column of the warp
};
static_assert(sizeof(PatchStatistics) == aliked_cpu::kPatchStatistics * sizeof(double), "kept as an array of doubles");

struct PatchSystem : PatchStatistics {
  PatchColumns columns;
};

ALIKED_INLINE Vec lanes_u(int vector) {
  Vec u = {};
  ALIKED_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) u[lane] = static_cast<float>(vector * kLanes + lane - kHalf);
  return u;
}

// Lanes added pairwise: a third of the time that one after the other takes.
ALIKED_INLINE float lane_sum(Vec v) {
  float sums[kLanes];
  store(sums, v);
  ALIKED_UNROLL
  for (int step = kLanes / 2; step > 0; step /= 2) {
    ALIKED_UNROLL
    for (int lane = 0; lane < step; ++lane) sums[lane] += sums[lane + step];
  }
  return sums[0];
}

// Row v of the patch is v - kHalf from its centre.
ALIKED_INLINE float row_v(int row) { return static_cast<float>(row - kHalf); }

// Sums over the patch, of which the lanes still have to be added up, with weights 1 and v.
struct Moments {
  Vec plain[kPatchVectors] = {}, by_v[kPatchVectors] = {};

  ALIKED_INLINE void add(int vector, Vec value, float v) {
    plain[vector] += value;
    by_v[vector] += value * v;
  }
  ALIKED_INLINE double sum() const { return total(plain, false); }
  ALIKED_INLINE double sum_u() const { return total(plain, true); }
  ALIKED_INLINE double sum_v() const { return total(by_v, false); }
  ALIKED_INLINE double sum_uv() const { return total(by_v, true); }
  static ALIKED_INLINE double total(const Vec (&sums)[kPatchVectors], bool times_u) {
    Vec all = {};
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) all += times_u ? sums[i] * lanes_u(i) : sums[i];
    return lane_sum(all);
  }
};

void differentiate(const float* patch, PatchColumns& out) {
  Vec sum = {};
  for (int row = 0; row < kPatch; ++row) {
    const float* at = patch + (row + kPatchBorder) * kTemplateWidth + kPatchBorder;
    for (int i = 0; i < kPatchVectors; ++i) sum += load(at + i * kLanes);
  }
  const Vec mean = splat(lane_sum(sum) / kPatchPixels);
  for (int row = 0; row < kPatch; ++row) {
    const float* at = patch + (row + kPatchBorder) * kTemplateWidth + kPatchBorder;
    for (int i = 0; i < kPatchVectors; ++i, at += kLanes) {
      const Vec centre = load(at), left = load(at - 1), right = load(at + 1);
      const float *above = at - kTemplateWidth, *below = at + kTemplateWidth;
      const Vec up = load(above), down = load(below);
      out.x[row][i] = (right - left) * 0.5f;
      out.y[row][i] = (down - up) * 0.5f;
      out.nuisance[0][row][i] = centre - mean;
      out.nuisance[1][row][i] = left + right - 2.0f * centre;
      out.nuisance[2][row][i] = (load(below + 1) + load(above - 1) - load(below - 1) - load(above + 1)) * 0.25f;
      out.nuisance[3][row][i] = up + down - 2.0f * centre;
    }
  }
}

// Inverse of a symmetric positive definite matrix by Cholesky's factors; false where it is not positive definite.
template <int N>
bool invert(const double (&matrix)[N][N], double (&inverse)[N][N]) {
  double factor[N][N], reverse[N][N], reciprocal[N];
  ALIKED_UNROLL
  for (int i = 0; i < N; ++i) {
    ALIKED_UNROLL
    for (int j = 0; j <= i; ++j) {
      double sum = matrix[i][j];
      ALIKED_UNROLL
      for (int k = 0; k < j; ++k) sum -= factor[i][k] * factor[j][k];
      if (i == j) {
        if (!(sum > 0.0)) return false;
        reciprocal[i] = 1.0 / __builtin_sqrt(sum);
      } else {
        factor[i][j] = sum * reciprocal[j];
      }
    }
  }
  ALIKED_UNROLL
  for (int j = 0; j < N; ++j) {
    reverse[j][j] = reciprocal[j];
    ALIKED_UNROLL
    for (int i = j + 1; i < N; ++i) {
      double sum = 0.0;
      ALIKED_UNROLL
      for (int k = j; k < i; ++k) sum -= factor[i][k] * reverse[k][j];
      reverse[i][j] = sum * reciprocal[i];
    }
  }
  ALIKED_UNROLL
  for (int i = 0; i < N; ++i) {
    ALIKED_UNROLL
    for (int j = 0; j <= i; ++j) {
      double sum = 0.0;
      ALIKED_UNROLL
      for (int k = i; k < N; ++k) sum += reverse[k][i] * reverse[k][j];
      inverse[i][j] = inverse[j][i] = sum;
    }
  }
  return true;
}

// The part of the Gram matrix among the warp's columns: products of derivatives with moments up to the second.
void warp_products(const PatchColumns& columns, double (&gram)[kWarp][kWarp]) {
  for (int a = 0; a < 2; ++a) {
    for (int b = a; b < 2; ++b) {
      Moments moments;
      Vec by_vv[kPatchVectors] = {};
      const auto &left = a ? columns.y : columns.x, &right = b ? columns.y : columns.x;
      for (int row = 0; row < kPatch; ++row) {
        const float v = row_v(row);
        ALIKED_UNROLL
        for (int i = 0; i < kPatchVectors; ++i) {
          const Vec product = left[row][i] * right[row][i];
          moments.add(i, product, v);
          by_vv[i] += product * (v * v);
        }
      }
      Vec by_uu = {};
      ALIKED_UNROLL
      for (int i = 0; i < kPatchVectors; ++i) by_uu += moments.plain[i] * lanes_u(i) * lanes_u(i);
      const double second[3][3] = {{moments.sum(), moments.sum_u(), moments.sum_v()},
                                   {moments.sum_u(), lane_sum(by_uu), moments.sum_uv()},
                                   {moments.sum_v(), moments.sum_uv(), Moments::total(by_vv, false)}};
      // Columns of a derivative: itself, times u, times v.
      const int at[2][3] = {{0, 2, 3}, {1, 4, 5}};
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) gram[at[a][i]][at[b][j]] = gram[at[b][j]][at[a][i]] = second[i][j];
      }
    }
  }
}

// Sums of a map times each of the warp's columns and the first few nuisances.
template <int Nuisances>
ALIKED_INLINE void column_products(const PatchColumns& columns, const Vec (&map)[kPatch][kPatchVectors],
                                   double (&sums)[kColumns]) {
  Moments x, y;
  Vec other[kNuisance] = {};
  for (int row = 0; row < kPatch; ++row) {
    const float v = row_v(row);
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) {
      x.add(i, columns.x[row][i] * map[row][i], v);
      y.add(i, columns.y[row][i] * map[row][i], v);
      ALIKED_UNROLL
      for (int n = 0; n < Nuisances; ++n) other[n] += columns.nuisance[n][row][i] * map[row][i];
    }
  }
  const double all[kWarp] = {x.sum(), y.sum(), x.sum_u(), x.sum_v(), y.sum_u(), y.sum_v()};
  for (int i = 0; i < kWarp; ++i) sums[i] = all[i];
  for (int n = 0; n < Nuisances; ++n) sums[kWarp + n] = lane_sum(other[n]);
}

void column_means(const PatchColumns& columns, double (&means)[kColumns]) {
  Moments x, y;
  Vec other[kNuisance] = {};
  for (int row = 0; row < kPatch; ++row) {
    ALIKED_UNROLL
    for (int i = 0; i < kPatchVectors; ++i) {
      x.add(i, columns.x[row][i], row_v(row));
      y.add(i, columns.y[row][i], row_v(row));
      ALIKED_UNROLL
      for (int n = 0; n < kNuisance; ++n) other[n] += columns.nuisance[n][row][i];
    }
  }
  const double sums[kWarp] = {x.sum(), y.sum(), x.sum_u(), x.sum_v(), y.sum_u(), y.sum_v()};
  for (int i = 0; i < kWarp; ++i) means[i] = sums[i] / kPatchPixels;
  for (int n = 0; n < kNuisance; ++n) means[kWarp + n] = lane_sum(other[n]) / kPatchPixels;
}

bool prepare(PatchSystem& system) {
  const auto& maps = system.columns.nuisance;
  double gram[kNuisance][kColumns], warp[kWarp][kWarp];
  warp_products(system.columns, warp);
  column_means(system.columns, system.mean);
  column_products<1>(system.columns, maps[0], gram[0]);
  column_products<2>(system.columns, maps[1], gram[1]);
  column_products<3>(system.columns, maps[2], gram[2]);
  column_products<4>(system.columns, maps[3], gram[3]);
  system.deviation = __builtin_sqrt(gram[0][kWarp]);
  double nuisance[kNuisance][kNuisance], cross[kNuisance][kWarp];
  for (int n = 0; n < kNuisance; ++n) {
    const double pixels_mean = kPatchPixels * system.mean[kWarp + n];
    for (int i = 0; i < kWarp; ++i) cross[n][i] = gram[n][i] - pixels_mean * system.mean[i];
    for (int m = 0; m <= n; ++m) {
      nuisance[n][m] = nuisance[m][n] = gram[n][kWarp + m] - pixels_mean * system.mean[kWarp + m];
    }
    nuisance[n][n] += kRidge;
  }
  if (!invert(nuisance, system.inverse_nuisance)) return false;
  for (int n = 0; n < kNuisance; ++n) {
    for (int i = 0; i < kWarp; ++i) {
      system.share[n][i] = 0.0;
      for (int m = 0; m < kNuisance; ++m) system.share[n][i] += system.inverse_nuisance[n][m] * cross[m][i];
    }
  }
  for (int i = 0; i < kWarp; ++i) {
    for (int j = 0; j < kWarp; ++j) {
      double& entry = system.warp[i][j];
      entry = warp[i][j] - kPatchPixels * system.mean[i] * system.mean[j];
      for (int n = 0; n < kNuisance; ++n) entry -= cross[n][i] * system.share[n][j];
    }
    system.warp[i][i] += kRidge;
  }
  return true;
}

// Bilinear samples of the image around points, a border included, and their statistics; NaN where they leave it.
void cut_patches(const aliked_cpu::CutBlock& block) {
  constexpr double half = kHalf + kPatchBorder;
  PatchSystem system = {};
  for (int point = 0; point < block.count; ++point) {
    float* out = block.patches + static_cast<int64_t>(point) * kTemplateWidth * kTemplateWidth;
    const double left = block.xy[2 * point] - half, top = block.xy[2 * point + 1] - half;
    const bool inside = left >= 0.0 && top >= 0.0 && left + kTemplateWidth < block.width &&
                        top + kTemplateWidth < block.height;
    const int x0 = inside ? static_cast<int>(left) : 0, y0 = inside ? static_cast<int>(top) : 0;
    const float fx = static_cast<float>(left - x0), fy = static_cast<float>(top - y0);
    const float nothing = __builtin_nanf("");
    for (int row = 0; row < kTemplateWidth; ++row, out += kTemplateWidth) {
      const float* upper = block.image + (y0 + row) * block.row_stride + x0;
      const float* lower = upper + block.row_stride;
      for (int x = 0; inside && x < kTemplateWidth; ++x) {
        const float a = upper[x] + (upper[x + 1] - upper[x]) * fx, b = lower[x] + (lower[x + 1] - lower[x]) * fx;
        out[x] = a + (b - a) * fy;
      }
      for (int x = 0; !inside && x < kTemplateWidth; ++x) out[x] = nothing;
    }
    differentiate(out - kTemplateWidth * kTemplateWidth, system.columns);
    if (!prepare(system)) system.deviation = __builtin_nan("");
    __builtin_memcpy(block.statistics + static_cast<int64_t>(point) * aliked_cpu::kPatchStatistics,
                     static_cast<const PatchStatistics*>(&system), sizeof(PatchStatistics));
  }
}

}  // namespace
