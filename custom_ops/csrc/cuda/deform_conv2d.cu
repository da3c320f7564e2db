// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
#include "deform_conv2d.h"
#include "for_each.cuh"

namespace aliked_ops::cuda {

cudaError_t deform_columns(DType dtype, const DeformGeometry& geometry, const void* images, const void* offsets,
                           void* columns, cudaStream_t stream) {
  return dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return for_each(DeformColumns<T>{geometry, static_cast<const T*>(images), static_cast<const T*>(offsets),
                                     static_cast<T*>(columns)},
                    stream);
  });
}

cudaError_t deform_offsets_backward(DType dtype, const DeformGeometry& geometry, const void* images,
                                    const void* offsets, const void* grad_columns, void* grad_offsets,
                                    cudaStream_t stream) {
  return dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return for_each(DeformOffsetsBackward<T>{geometry, static_cast<const T*>(images), static_cast<const T*>(offsets),
                                             static_cast<const T*>(grad_columns), static_cast<T*>(grad_offsets)},
                    stream);
  });
}

cudaError_t deform_corners(DType dtype, const DeformGeometry& geometry, const void* offsets, int64_t* bins,
                           void* weights, cudaStream_t stream) {
  return dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return for_each(DeformCorners<T>{geometry, static_cast<const T*>(offsets), bins, static_cast<RealOf<T>*>(weights)},
                    stream);
  });
}

cudaError_t deform_images_backward(DType dtype, const DeformGeometry& geometry, const void* grad_columns,
                                   const Bins& bins, const void* weights, void* grad_images, cudaStream_t stream) {
  return dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return for_each(DeformImagesBackward<T>{geometry, static_cast<const T*>(grad_columns), bins.order, bins.starts,
                                            static_cast<const RealOf<T>*>(weights), static_cast<T*>(grad_images)},
                    stream);
  });
}

}  // namespace aliked_ops::cuda
