// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What the CUDA sources offer to the binding. Every launcher queues its work on the given stream of the
// current device, waits for nothing and returns the launch's error. All pointers are to device memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "aliked_ops/deform.h"
#include "aliked_ops/patches.h"

namespace aliked_ops::cuda {

enum class DType { kHalf, kBFloat16, kFloat, kDouble };

// Entries (points or samples) grouped by the bin (pixel) they belong to, as a stable sort by bin gives them:
// bin b has the entries order[starts[b]], ..., order[starts[b + 1] - 1]. Summing in that order makes every
// gradient deterministic.
struct Bins {
  const int64_t* order;
  const int64_t* starts;
};

// points: (N, 2) as (x, y); patches: (N, C, K, K) of the map's type.
cudaError_t get_patches(DType dtype, const MapView<const void>& map, const int64_t* points, int64_t num_points,
                        int64_t kernel_size, void* patches, cudaStream_t stream);

// Number of bins that patch_bins() sorts points into: one per place from which a patch touches the map.
inline int64_t patch_bin_count(int64_t height, int64_t width, int64_t kernel_size) {
  return (height + kernel_size - 1) * (width + kernel_size - 1);
}

// bins: (N,); a point whose patch misses the map gets patch_bin_count().
cudaError_t patch_bins(const int64_t* points, int64_t num_points, int64_t kernel_size, int64_t height, int64_t width,
                       int64_t* bins, cudaStream_t stream);

// grad_patches: (N, C, K, K); points grouped by patch_bins(); grad_map: (C, H, W), overwritten.
cudaError_t get_patches_backward(DType dtype, const void* grad_patches, const int64_t* points, const Bins& bins,
                                 int64_t kernel_size, const MapView<void>& grad_map, cudaStream_t stream);

// images: (B, C, H, W); offsets: (B, taps, 2, positions); columns: (B, C, taps, positions), all of one type,
// contiguous.
cudaError_t deform_columns(DType dtype, const DeformGeometry& geometry, const void* images, const void* offsets,
                           void* columns, cudaStream_t stream);

// grad_offsets: (B, taps, 2, positions), overwritten.
cudaError_t deform_offsets_backward(DType dtype, const DeformGeometry& geometry, const void* images,
                                    const void* offsets, const void* grad_columns, void* grad_offsets,
                                    cudaStream_t stream);

// The four corners of every sample: bins (B, taps, positions, 4), pixel of the batch or B * H * W when
// outside, and weights, likewise, of float or, for kDouble, double.
cudaError_t deform_corners(DType dtype, const DeformGeometry& geometry, const void* offsets, int64_t* bins,
                           void* weights, cudaStream_t stream);

// Corners grouped by deform_corners(); grad_images: (B, C, H, W), overwritten.
cudaError_t deform_images_backward(DType dtype, const DeformGeometry& geometry, const void* grad_columns,
                                   const Bins& bins, const void* weights, void* grad_images, cudaStream_t stream);

}  // namespace aliked_ops::cuda
