// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The CUDA kernels' functors, run one index after the other by a host compiler, for test_cuda_functors.py. Doubles
// only.
#include "cuda/deform_conv2d.h"
#include "cuda/get_patches.h"

namespace {

namespace ops = aliked_ops;
namespace cuda = aliked_ops::cuda;

// As the kernel does, with 32-bit indices or 64-bit ones, but last index first: threads run in no order.
template <typename Functor>
void run(const Functor& functor, int narrow) {
  for (int64_t i = functor.count() - 1; i >= 0; --i) {
    narrow ? functor(static_cast<int32_t>(i)) : functor(i);
  }
}

}  // namespace

extern "C" {

void get_patches(const double* map, const int64_t* sizes_and_strides, const int64_t* points, int64_t num_points,
                 int64_t kernel_size, double* patches, int narrow) {
  const int64_t* s = sizes_and_strides;
  const ops::MapView<const double> view{map, s[0], s[1], s[2], s[3], s[4], s[5]};
  run(cuda::GetPatches<double>{view, points, num_points, kernel_size, patches}, narrow);
}

void patch_bins(const int64_t* points, int64_t num_points, int64_t kernel_size, int64_t height, int64_t width,
                int64_t* bins, int narrow) {
  run(cuda::PatchBins{points, num_points, kernel_size, height, width, bins}, narrow);
}

void get_patches_backward(const double* grad_patches, const int64_t* points, const int64_t* order,
                          const int64_t* starts, int64_t kernel_size, int64_t channels, int64_t height, int64_t width,
                          double* grad_map, int narrow) {
  run(cuda::GetPatchesBackward<double>{grad_patches, points, order, starts, kernel_size, channels, height, width,
                                       grad_map},
      narrow);
}

void deform_columns(const ops::DeformGeometry* geometry, const double* images, const double* offsets, double* columns,
                    int narrow) {
  run(cuda::DeformColumns<double>{*geometry, images, offsets, columns}, narrow);
}

void deform_offsets_backward(const ops::DeformGeometry* geometry, const double* images, const double* offsets,
                             const double* grad_columns, double* grad_offsets, int narrow) {
  run(cuda::DeformOffsetsBackward<double>{*geometry, images, offsets, grad_columns, grad_offsets}, narrow);
}

void deform_corners(const ops::DeformGeometry* geometry, const double* offsets, int64_t* bins, double* weights,
                    int narrow) {
  run(cuda::DeformCorners<double>{*geometry, offsets, bins, weights}, narrow);
}

void deform_images_backward(const ops::DeformGeometry* geometry, const double* grad_columns, const int64_t* order,
                            const int64_t* starts, const double* weights, double* grad_images, int narrow) {
  run(cuda::DeformImagesBackward<double>{*geometry, grad_columns, order, starts, weights, grad_images}, narrow);
}

}  // extern "C"
