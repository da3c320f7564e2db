// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#include "for_each.cuh"
#include "get_patches.h"

namespace aliked_ops::cuda {
namespace {

template <typename To, typename From>
MapView<To> view_as(const MapView<From>& map) {
  return {static_cast<To*>(map.data), map.channels,   map.height,       map.width,
          map.channel_stride,         map.row_stride, map.column_stride};
}

}  // namespace

cudaError_t get_patches(DType dtype, const MapView<const void>& map, const int64_t* points, int64_t num_points,
                        int64_t kernel_size, void* patches, cudaStream_t stream) {
  return dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return for_each(GetPatches<T>{view_as<const T>(map), points, num_points, kernel_size, static_cast<T*>(patches)},
                    stream);
  });
}

cudaError_t patch_bins(const int64_t* points, int64_t num_points, int64_t kernel_size, int64_t height, int64_t width,
                       int64_t* bins, cudaStream_t stream) {
  return for_each(PatchBins{points, num_points, kernel_size, height, width, bins}, stream);
}

cudaError_t get_patches_backward(DType dtype, const void* grad_patches, const int64_t* points, const Bins& bins,
                                 int64_t kernel_size, const MapView<void>& grad_map, cudaStream_t stream) {
  return dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return for_each(
        GetPatchesBackward<T>{static_cast<const T*>(grad_patches), points, bins.order, bins.starts, kernel_size,
                              grad_map.channels, grad_map.height, grad_map.width, static_cast<T*>(grad_map.data)},
        stream);
  });
}

}  // namespace aliked_ops::cuda
