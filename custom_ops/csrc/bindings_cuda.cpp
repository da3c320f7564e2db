// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The operators' CUDA side: checks and tensors around the launchers of csrc/cuda. Everything is queued on the
// caller's current stream and nothing waits for the device.
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>

#include "checks.h"
#include "cuda/launchers.h"

namespace aliked_ops {
namespace {

cuda::DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kHalf:
      return cuda::DType::kHalf;
    case at::kBFloat16:
      return cuda::DType::kBFloat16;
    case at::kFloat:
      return cuda::DType::kFloat;
    case at::kDouble:
      return cuda::DType::kDouble;
    default:
      TORCH_CHECK(false, "no CUDA kernel for ", tensor.scalar_type());
  }
}

template <typename Data>
MapView<Data> view_of(Data* data, const at::Tensor& map) {
  return {data, map.size(0), map.size(1), map.size(2), map.stride(0), map.stride(1), map.stride(2)};
}

// Entries grouped by bin: the stable sort keeps each bin's in their order, so sums over them are
// deterministic.
struct Grouped {
  at::Tensor order, starts;

  Grouped(const at::Tensor& bins, int64_t bin_count) {
    at::Tensor sorted;
    std::tie(sorted, order) = at::sort(bins, /*stable=*/true, /*dim=*/0, /*descending=*/false);
    starts = at::searchsorted(sorted, at::arange(bin_count + 1, bins.options()));
  }

  cuda::Bins bins() const { return {order.const_data_ptr<int64_t>(), starts.const_data_ptr<int64_t>()}; }
};

at::Tensor get_patches(const at::Tensor& feature_map, const at::Tensor& points_xy, int64_t kernel_size) {
  check_get_patches(feature_map, points_xy, kernel_size);
  const c10::cuda::CUDAGuard guard(feature_map.device());
  const at::Tensor points = points_xy.contiguous();
  at::Tensor patches =
      at::empty({points.size(0), feature_map.size(0), kernel_size, kernel_size}, feature_map.options());
  C10_CUDA_CHECK(cuda::get_patches(dtype_of(feature_map), view_of(feature_map.const_data_ptr(), feature_map),
                                   points.const_data_ptr<int64_t>(), points.size(0), kernel_size,
                                   patches.mutable_data_ptr(), c10::cuda::getCurrentCUDAStream()));
  return patches;
}

at::Tensor get_patches_backward(const at::Tensor& grad_patches, const at::Tensor& points_xy, int64_t height,
                                int64_t width) {
  check_get_patches_backward(grad_patches, points_xy, height, width);
  const c10::cuda::CUDAGuard guard(grad_patches.device());
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  const at::Tensor grad = grad_patches.contiguous(), points = points_xy.contiguous();
  const int64_t kernel_size = grad.size(3), *xy = points.const_data_ptr<int64_t>();
  at::Tensor bins = at::empty({points.size(0)}, points.options());
  C10_CUDA_CHECK(
      cuda::patch_bins(xy, points.size(0), kernel_size, height, width, bins.mutable_data_ptr<int64_t>(), stream));
  const Grouped grouped(bins, cuda::patch_bin_count(height, width, kernel_size));
  at::Tensor grad_map = at::empty({grad.size(1), height, width}, grad.options());
  C10_CUDA_CHECK(cuda::get_patches_backward(dtype_of(grad), grad.const_data_ptr(), xy, grouped.bins(), kernel_size,
                                            view_of(grad_map.mutable_data_ptr(), grad_map), stream));
  return grad_map;
}

// Runs work(first image, geometry of this round) over the batch, in rounds whose columns take a bounded
// memory.
template <typename Work>
void in_rounds(DeformGeometry geometry, const Work& work) {
  constexpr int64_t kColumnsPerRound = int64_t{1} << 26;
  const int64_t per_image = geometry.channels * geometry.taps() * geometry.positions();
  const int64_t batch = geometry.batch, step = std::max<int64_t>(kColumnsPerRound / per_image, 1);
  for (int64_t first = 0; first < batch; first += step) {
    geometry.batch = std::min(step, batch - first);
    work(first, geometry);
  }
}

// The samples of this round's images: (b, C * taps, positions).
at::Tensor columns_of(const DeformGeometry& geometry, const at::Tensor& images, const at::Tensor& offsets) {
  at::Tensor columns =
      at::empty({geometry.batch, geometry.channels * geometry.taps(), geometry.positions()}, images.options());
  C10_CUDA_CHECK(cuda::deform_columns(dtype_of(images), geometry, images.const_data_ptr(), offsets.const_data_ptr(),
                                      columns.mutable_data_ptr(), c10::cuda::getCurrentCUDAStream()));
  return columns;
}

at::Tensor deform_conv2d(const at::Tensor& feature_map, const at::Tensor& offset, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding,
                         at::IntArrayRef dilation) {
  const DeformGeometry geometry =
      check_deform_conv2d("deform_conv2d", feature_map, offset, weight, bias, stride, padding, dilation);
  const c10::cuda::CUDAGuard guard(feature_map.device());
  const at::Tensor images = feature_map.contiguous(), offsets = offset.contiguous();
  const at::Tensor weights = weight.reshape({1, weight.size(0), -1});
  at::Tensor output = at::empty({geometry.batch, weight.size(0), geometry.positions()}, images.options());
  in_rounds(geometry, [&](int64_t first, const DeformGeometry& round) {
    const int64_t count = round.batch;
    const at::Tensor columns = columns_of(round, images.narrow(0, first, count), offsets.narrow(0, first, count));
    at::Tensor target = output.narrow(0, first, count);
    at::bmm_out(target, weights.expand({count, -1, -1}), columns);
  });
  if (bias) output.add_(bias->unsqueeze(1));
  return output.view({geometry.batch, weight.size(0), geometry.output_height, geometry.output_width});
}

// The gradients of this round's images and offsets, written to the targets.
void sample_backward(const DeformGeometry& geometry, const at::Tensor& images, const at::Tensor& offsets,
                     const at::Tensor& grad_columns, at::Tensor grad_images, at::Tensor grad_offsets) {
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  const cuda::DType dtype = dtype_of(images);
  C10_CUDA_CHECK(cuda::deform_offsets_backward(dtype, geometry, images.const_data_ptr(), offsets.const_data_ptr(),
                                               grad_columns.const_data_ptr(), grad_offsets.mutable_data_ptr(), stream));
  const int64_t entries = 4 * geometry.batch * geometry.taps() * geometry.positions();
  at::Tensor bins = at::empty({entries}, images.options().dtype(at::kLong));
  at::Tensor shares = at::empty({entries}, images.options().dtype(at::toOpMathType(images.scalar_type())));
  C10_CUDA_CHECK(cuda::deform_corners(dtype, geometry, offsets.const_data_ptr(), bins.mutable_data_ptr<int64_t>(),
                                      shares.mutable_data_ptr(), stream));
  const Grouped grouped(bins, geometry.batch * geometry.pixels());
  C10_CUDA_CHECK(cuda::deform_images_backward(dtype, geometry, grad_columns.const_data_ptr(), grouped.bins(),
                                              shares.const_data_ptr(), grad_images.mutable_data_ptr(), stream));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> deform_conv2d_backward(
    const at::Tensor& grad_output, const at::Tensor& feature_map, const at::Tensor& offset, const at::Tensor& weight,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation) {
  const char* op = "deform_conv2d_backward";
  const DeformGeometry geometry =
      check_deform_conv2d(op, feature_map, offset, weight, std::nullopt, stride, padding, dilation);
  check_grad_output(op, grad_output, feature_map, weight, geometry);
  const c10::cuda::CUDAGuard guard(feature_map.device());
  const at::Tensor images = feature_map.contiguous(), offsets = offset.contiguous();
  const at::Tensor grad = grad_output.contiguous().flatten(2);  // (B, O, positions)
  const at::Tensor weights_transposed = weight.reshape({1, weight.size(0), -1}).transpose(1, 2);
  const at::ScalarType sum_dtype = at::toOpMathType(images.scalar_type());
  at::Tensor grad_images = at::empty(images.sizes(), images.options());
  at::Tensor grad_offset = at::empty(offsets.sizes(), offsets.options());
  at::Tensor grad_weight = at::zeros({weight.size(0), weights_transposed.size(1)}, images.options().dtype(sum_dtype));
  in_rounds(geometry, [&](int64_t first, const DeformGeometry& round) {
    const auto part = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, round.batch); };
    const at::Tensor columns = columns_of(round, part(images), part(offsets));
    grad_weight.add_(at::bmm(part(grad), columns.transpose(1, 2)).sum(0, /*keepdim=*/false, sum_dtype));
    const at::Tensor grad_columns = at::bmm(weights_transposed.expand({round.batch, -1, -1}), part(grad));
    sample_backward(round, part(images), part(offsets), grad_columns, part(grad_images), part(grad_offset));
  });
  return {grad_images, grad_offset, grad_weight.view(weight.sizes()).to(weight.scalar_type())};
}

}  // namespace
}  // namespace aliked_ops

TORCH_LIBRARY_IMPL(aliked_ops, CUDA, m) {
  m.impl("get_patches", TORCH_FN(aliked_ops::get_patches));
  m.impl("get_patches_backward", TORCH_FN(aliked_ops::get_patches_backward));
  m.impl("deform_conv2d", TORCH_FN(aliked_ops::deform_conv2d));
  m.impl("deform_conv2d_backward", TORCH_FN(aliked_ops::deform_conv2d_backward));
}
