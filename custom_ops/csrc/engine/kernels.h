// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The inner loops of the engine: what each works on, and the table that holds one instruction set's versions of them.
//
// Maps are stored pixel by pixel ("interleaved": a pixel's channels are neighbours) except in the score head, whose few
// channels are stored as planes. Widths of layers are padded to kPanel outputs by zero weights.
#pragma once

#include <cstdint>

namespace aliked_cpu {

constexpr int kPanel = 16;       // outputs whose weights are stored together
constexpr int kScoreWidth = 8;   // channels of the score head's first layer
constexpr int kPlanePadding = 16;  // zero floats on either side of a row of a plane

// One run of inputs of a matrix product: for pixel p, data[p * pixel_stride + k], k < depth. Inputs are counted in
// words of four bytes: one float32 or two neighbouring bfloat16.
struct Segment {
  const float* data;
  int64_t pixel_stride;
  int depth;
};

enum class Activation : int { kNone, kSelu };

// out[p][o] = activation(bias[o] + sum over segments and k of segment[p][k] * weights[o / 16][k][o % 16]),
// where k counts on through the segments. A 3x3 convolution of a row is three segments, one for each row of taps.
struct Product {
  static constexpr int kMaxSegments = 4;
  Segment segments[kMaxSegments];
  int num_segments;
  const float* weights;  // of bfloat16 two inputs' weights side by side for each output
  const float* bias;     // (outputs) or null for zero
  int outputs;        // stored for each pixel; a multiple of 8
  bool accumulate;    // starts from out instead of the bias
  Activation activation;
  bool narrow_output;  // out is bfloat16, two to a word
  float* out;
  int64_t out_stride;  // words
  int pixels;
};

// The bilinear neighbours of one axis: value = map[low] * (1 - fraction) + map[high] * fraction.
struct Neighbours {
  const int32_t* low;
  const int32_t* high;
  const float* fraction;
};

// A row of an image, replicated to the padded width and scaled to [0, 1].
struct ImageRow {
  const uint8_t* pixels;  // the row's first pixel
  int64_t column_stride, channel_stride;
  int width;        // of the image
  int left, right;  // replicated columns
  float* out;       // (left + width + right, 3)
};

// One block of columns of a deformable convolution: out[p][tap * channels + c].
struct DeformGather {
  const float* map;    // (height, width, channels)
  int64_t row_stride;  // floats from row to row
  int height, width, channels;
  const float* offsets;  // (pixels, offset_stride): (dy, dx) of nine taps
  int offset_stride;
  float limit;  // offsets are clamped to ±limit
  int y, first_x, pixels;  // the output pixels: `pixels` of row y from first_x on
  float* out;
  int64_t out_stride;
};

// A row of the score head's first layer: planes[j] = SELU(level 1's share + the coarser levels' shares).
struct ScoreRow {
  const float* x1;  // (width, channels), the first block's output
  int channels;             // of x1: 8 or 16
  const float* project;    // (quarter, channels): conv1 of the aggregation
  int quarter;             // D / 4
  const float* head;       // (quarter, 8): the part of score_head.0 that acts on level 1
  const float* upper[3];   // coarser levels' rows above and below, upsampled to full width: 8 planes each
  const float* lower[3];
  float fraction[3];       // share of the lower row
  int64_t upsampled_plane_stride;
  float* planes;  // 8 planes
  int64_t plane_stride;
  int width;  // a multiple of 32
};

// A row of a 3x3 convolution between planes; rows outside the map are planes of zeros.
struct PlaneConvRow {
  const float* rows[3];  // first plane of the rows above, at and below
  int64_t plane_stride;
  int inputs;
  const float* weights;  // (inputs, 3, 3, outputs)
  float* out;            // `outputs` planes
  int64_t out_plane_stride;
  int width;  // a multiple of 32
};

// What descriptors are computed from; all maps interleaved, of the padded image.
struct DescribeMaps {
  const float* x1;
  int channels;          // of x1
  const float* project;  // (channels, quarter): conv1 of the aggregation, transposed
  int quarter;           // D / 4
  const float* levels[3];  // (h, w, quarter) each
  int level_width[3];
  Neighbours rows[3], columns[3];  // of each coarser level, for the padded image's rows and columns
  int left, top;                   // of the image in the padded image
  int width, height;               // of the image
  int padded_width;
};

// Similarities of rows of a with all rows of b, with running arg-max.
//
// With a prefix, pairs are first judged by an upper bound of their similarity: the product of the first `prefix` values
// plus, by Cauchy-Schwarz, the product of the lengths of the rest. Pairs whose bound is below the gate are left out.
struct MatchBlock {
  const float* a;        // (rows, depth)
  int first_row, rows;   // first_row: index of a's first row
  const float* b;        // (columns, depth)
  const float* panels;   // b as (columns / 16, depth, 16), padded by zeros
  int columns, depth;
  int prefix;            // values that are multiplied first; 0 leaves no pair out
  float gate;            // lowest similarity that counts, less what rounding can do to a bound
  const float* a_rest;   // (rows) lengths of the values behind the prefix
  const float* b_rest;   // (columns padded to 32)
  float* row_best;       // (rows)
  int32_t* row_index;    // (rows)
  float* column_best;    // (columns padded to 32), kept from call to call
  int32_t* column_index;
};

constexpr int kPatch = 16;       // pixels along a side of an aligned patch
constexpr int kPatchBorder = 1;  // around it, for its derivatives
constexpr int kPatchStatistics = 87;  // doubles that are kept beside a patch

// Points whose patches are looked for in an image.
struct AlignBlock {
  const float* image;  // (height, width), smoothed
  int64_t row_stride;
  int width, height;
  const float* patches;      // (any, kPatch + 2, kPatch + 2)
  const double* statistics;  // (any, kPatchStatistics)
  const int32_t* rows;   // (count) which of them each point looks for
  int count;
  int max_iterations;
  float tolerance;  // a step in pixels that ends the iteration
  float prior;      // weight of the affine part's beginning, in variances of the residual
  float* warps;     // (count, 6): x, y, the affine matrix by rows; begins there, ends there where it was found
  float* quality;   // (count, 2): 1-sigma error in pixels and correlation, NaN where it was not found
};

// Points whose patches are kept.
struct CutBlock {
  const float* image;
  int64_t row_stride;
  int width, height;
  const float* xy;  // (count, 2)
  int count;
  float* patches;      // (count, kPatch + 2, kPatch + 2)
  double* statistics;  // (count, kPatchStatistics)
};

struct Kernels {
  const char* name;
  // float32 inputs, weights and products.
  void (*product)(const Product&);
  // bfloat16 inputs and weights, float32 sums; null without instructions for it, and so is the next.
  void (*product_bf16)(const Product&);
  // Rounds count floats, a multiple of 16, to bfloat16; in place when out is in.
  void (*narrow)(const float* in, int64_t count, float* out);
  void (*image_row)(const ImageRow&);
  // Average of factor × factor pixels of (factor) rows of (factor * pixels, channels).
  void (*average_rows)(const float* const* rows, int factor, int pixels, int channels, float* out);
  void (*gather)(const DeformGather&);
  // (pixels, 8 of stride) to 8 planes.
  void (*to_planes)(const float* in, int64_t pixel_stride, int pixels, float* planes, int64_t plane_stride);
  // 8 planes' rows stretched by linear interpolation to a multiple of 32, at least twice their width; readable up to
  // 15 floats behind them.
  void (*stretch)(const float* in, int64_t in_plane_stride, const Neighbours&, int width, float* out,
                  int64_t out_plane_stride);
  void (*score_row)(const ScoreRow&);
  void (*plane_conv_selu)(const PlaneConvRow&);     // to 4 planes
  void (*plane_conv_sigmoid)(const PlaneConvRow&);  // to 1 plane
  // Columns x of a row with s > threshold that are maxima of their 5x5 window; rows of stride around the row.
  int (*window_maxima)(const float* row, int64_t stride, int width, float threshold, float* scratch, int32_t* found);
  // Columns x with s >= threshold and a zero in `suppressed`.
  int (*unsuppressed)(const float* row, const uint8_t* suppressed, int width, float threshold, int32_t* found);
  // Unit features (count, D) at pixels of the image; zero outside it.
  void (*features_at)(const DescribeMaps&, const int32_t* xy, int count, float* out);
  // Bilinear samples (count, D) of the unit features; zero outside the image.
  void (*sample_features)(const DescribeMaps&, const float* xy, int count, float* out);
  void (*normalise)(float* rows, int count, int width);
  void (*match)(const MatchBlock&);
  void (*align)(const AlignBlock&);
  void (*cut_patches)(const CutBlock&);
};

}  // namespace aliked_cpu
