// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// ALIKED on a CPU (arXiv 2304.03608): the steps of one image, and the maps they leave for the next step.
//
// | map        | shape (stored)                | what it is                                         |
// |------------|-------------------------------|----------------------------------------------------|
// | x1         | H, W, c1                      | first block's output, always float32               |
// | pooled[0]  | H/2 + 2, W/2 + 2, c1          | second block's input, in a border of zeros;        |
// |            |                               | bfloat16 where that is asked for                   |
// | pooled[1]  | H/8 + 2, W/8 + 2, c2          | third block's                                      |
// | pooled[2]  | H/32 + 2, W/32 + 2, c3        | fourth block's                                     |
// | levels[i]  | h, w, D/4                     | levels 2 to 4 of the feature map                   |
// | shares[i]  | h, 8, w                       | what they add to the score head's first layer      |
// | scores     | height + 4, score_stride      | of the image, in a border below any score          |
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "kernels.h"
#include "thread_pool.h"
#include "weights.h"

namespace aliked_cpu {

// An image of 8-bit samples, any strides (in bytes); grey images repeat their one channel with stride 0.
struct Image {
  const uint8_t* pixels;
  int height, width;
  int64_t row_stride, column_stride, channel_stride;
};

// Which keypoints of an image are wanted.
struct Selection {
  int max_keypoints;
  float threshold;
  int grid_rows, grid_columns, max_per_cell;  // of equal cells, and the most keypoints of one; 0 for no limit
  const uint8_t* mask;                        // (height, width), 0 where nothing is wanted; null wants everything
};

enum Stage : int { kBlock1, kBlock2, kBlock3, kBlock4, kScoreHead, kDetection, kDescription, kNumStages };

struct Keypoint {
  float x, y, score, dispersity;
};

// A map in a border of one pixel of zeros; no channels where there is none.
struct BorderedMap {
  const float* data = nullptr;
  int channels = 0;
  const float* pixel(int width, int y, int x) const {
    return data + (static_cast<int64_t>(y + 1) * (width + 2) + x + 1) * channels;
  }
};

struct OutputMap {
  float* data;
  int channels, border;
};

// Columns [first_column, first_column + columns) of rows [first_row, last_row).
struct Tile {
  int first_row, last_row, first_column, columns;
};

class Engine {
 public:
  Engine(const Model& model, const float* weights, int64_t count, int threads, bool narrow,
         const Kernels& kernels);

  // Keypoints of an image, strongest first; describe() then describes them.
  const std::vector<Keypoint>& detect(const Image& image, const Selection& selection);
  // Unit descriptors (N, D) of the keypoints that detect() found last.
  void describe(float* descriptors);
  // The score map (height, width).
  void score_map(const Image& image, float* out);

  const std::vector<Keypoint>& keypoints() const { return keypoints_; }
  const double* stage_ms() const { return stage_ms_; }
  const char* instruction_set() const { return kernels_.name; }

 private:
  void prepare(int height, int width);
  void score_image(const Image& image);

  // encoder.cpp
  void block1(const Image& image);
  void block1_strip(const Image& image, int first_row, int last_row, int thread);
  void load_row(const Image& image, int row, float* out) const;
  void block2();
  void block2_strip(int first_row, int last_row, int thread);
  void project_level(int level, const float* row, int y, int channels);
  void convolve(const Layer& layer, const float* const (&rows)[3], int channels, float* out, int out_channels,
                bool narrow_out, int pixels, const Segment& residual = {},
                Activation activation = Activation::kSelu) const;

  // deform.cpp
  void deformable_block(const DeformLayer (&layers)[2], int level);
  void deform_convolve(const DeformLayer& layer, int level, const BorderedMap& in, const BorderedMap& residual,
                       const OutputMap& out);
  void deform_tile(const DeformLayer& layer, int level, const BorderedMap& in, const BorderedMap& residual,
                   const OutputMap& out, const Tile& tile, int thread);
  void gather_row(const DeformLayer& layer, int level, const BorderedMap& in, int y, const Tile& tile, float* offsets,
                  float* columns) const;

  // score.cpp
  void score_head();
  void score_strip(int first_row, int last_row, int thread);

  // detect.cpp
  void find_keypoints(const Image& image, const Selection& selection);
  void collect_window_maxima(float threshold);
  bool is_keypoint(const Image& image, const Selection& selection, int pixel) const;
  bool is_textured_peak(const Image& image, int pixel) const;
  void sort_by_score(std::vector<int32_t>& pixels) const;
  void thin_cells(const Selection& selection, std::vector<int32_t>& pixels);
  void collect_later_maxima(float cutoff, float threshold);
  void mark_windows(const std::vector<int32_t>& pixels, size_t first, uint8_t value);
  bool is_maximum_of_remaining(int pixel) const;
  Keypoint refine(int pixel) const;
  int refined_pixel(int pixel) const;
  float score_at(float x, float y) const;
  float score(int pixel) const;

  // describe.cpp
  void describe_block(const DescribeMaps& maps, int first, int count, float* out, int thread);

  float* scratch(int thread, int64_t count);

  // Multiplies by a layer's weights, in their type.
  void multiply(const Layer& layer, const Product& product) const;

  const Kernels& kernels_;
  bool narrow_;  // products of bfloat16
  Weights weights_;
  ThreadPool pool_;
  std::vector<Buffer> scratch_;  // one for each thread

  int height_ = 0, width_ = 0;                // of the image
  int padded_height_ = 0, padded_width_ = 0;  // multiples of 32
  int left_ = 0, top_ = 0;
  int level_height_[3] = {}, level_width_[3] = {};  // of the coarser levels
  Buffer x1_, pooled_[3], levels_[3], shares_[3];
  Buffer middle_[2], last_[2];  // of the deformable blocks: between their convolutions (bordered), and their output
  Buffer scores_;
  int64_t score_stride_ = 0;
  std::vector<int32_t> low_[6], high_[6];  // bilinear neighbours: rows of the three levels, then columns
  std::vector<float> fraction_[6];

  std::vector<std::vector<int32_t>> strip_maxima_;
  std::vector<int32_t> maxima_, remaining_;  // pixels as y * width + x
  std::vector<uint8_t> suppressed_;
  std::vector<int32_t> cell_counts_;
  std::vector<Keypoint> keypoints_;

  double stage_ms_[kNumStages] = {};
};

}  // namespace aliked_cpu
