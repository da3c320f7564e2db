// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// What the operators accept, for the CPU and the CUDA binding; aliked_ops/checks.py checks the same in
// Python.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

#include "aliked_ops/deform.h"

namespace aliked_ops {

inline void check_dtype(const char* op, const char* name, const at::Tensor& tensor) {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCH_CHECK(dtype == at::kHalf || dtype == at::kBFloat16 || dtype == at::kFloat || dtype == at::kDouble, op, ": ",
              name, " must be float16, bfloat16, float32 or float64, got ", dtype);
}

inline void check_like(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                       at::Device device) {
  TORCH_CHECK(tensor.scalar_type() == dtype, op, ": ", name, " must be ", dtype, ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == device, op, ": ", name, " must be on ", device, ", got a tensor on ", tensor.device());
}

inline void check_points(const char* op, const at::Tensor& points_xy, at::Device device) {
  TORCH_CHECK(points_xy.dim() == 2 && points_xy.size(1) == 2, op, ": points_xy must be (N, 2), got ",
              points_xy.sizes());
  check_like(op, "points_xy", points_xy, at::kLong, device);
}

inline void check_get_patches(const at::Tensor& feature_map, const at::Tensor& points_xy, int64_t kernel_size) {
  const char* op = "get_patches";
  check_dtype(op, "feature_map", feature_map);
  TORCH_CHECK(feature_map.dim() == 3 && feature_map.numel() > 0, op,
              ": feature_map must be (C, H, W) and not empty, got ", feature_map.sizes());
  check_points(op, points_xy, feature_map.device());
  TORCH_CHECK(kernel_size >= 1, op, ": kernel_size must be at least 1, got ", kernel_size);
}

inline void check_get_patches_backward(const at::Tensor& grad_patches, const at::Tensor& points_xy, int64_t height,
                                       int64_t width) {
  const char* op = "get_patches_backward";
  check_dtype(op, "grad_patches", grad_patches);
  check_points(op, points_xy, grad_patches.device());
  TORCH_CHECK(grad_patches.dim() == 4 && grad_patches.size(0) == points_xy.size(0) && grad_patches.size(1) >= 1 &&
                  grad_patches.size(2) == grad_patches.size(3) && grad_patches.size(3) >= 1,
              op, ": grad_patches must be (", points_xy.size(0), ", C, K, K), got ", grad_patches.sizes());
  TORCH_CHECK(height >= 1 && width >= 1, op, ": height and width must be positive, got ", height, " and ", width);
}

// Two steps of a convolution, (vertical, horizontal).
inline void check_pair(const char* op, const char* name, at::IntArrayRef pair, int64_t least) {
  TORCH_CHECK(pair.size() == 2 && pair[0] >= least && pair[1] >= least, op, ": ", name,
              " must be two numbers of at least ", least, ", got ", pair);
}

inline int64_t output_size(int64_t size, int64_t padding, int64_t dilation, int64_t taps, int64_t stride) {
  const int64_t room = size + 2 * padding - (dilation * (taps - 1) + 1);
  return room < 0 ? 0 : room / stride + 1;
}

inline void check_deform_tensors(const char* op, const at::Tensor& feature_map, const at::Tensor& offset,
                                 const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  check_dtype(op, "feature_map", feature_map);
  const at::ScalarType dtype = feature_map.scalar_type();
  check_like(op, "offset", offset, dtype, feature_map.device());
  check_like(op, "weight", weight, dtype, feature_map.device());
  TORCH_CHECK(feature_map.dim() == 4 && feature_map.size(1) > 0 && feature_map.size(2) > 0 && feature_map.size(3) > 0,
              op, ": feature_map must be (B, C, H, W) with C, H and W positive, got ", feature_map.sizes());
  TORCH_CHECK(weight.dim() == 4 && weight.size(1) == feature_map.size(1) && weight.numel() > 0, op,
              ": weight must be (O, ", feature_map.size(1), ", Kh, Kw) and not empty, got ", weight.sizes());
  if (!bias) return;
  check_like(op, "bias", *bias, dtype, feature_map.device());
  TORCH_CHECK(bias->dim() == 1 && bias->size(0) == weight.size(0), op, ": bias must be (", weight.size(0), ",), got ",
              bias->sizes());
}

inline DeformGeometry check_deform_conv2d(const char* op, const at::Tensor& feature_map, const at::Tensor& offset,
                                          const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                                          at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation) {
  check_deform_tensors(op, feature_map, offset, weight, bias);
  check_pair(op, "stride", stride, 1);
  check_pair(op, "padding", padding, 0);
  check_pair(op, "dilation", dilation, 1);
  const auto rows = output_size(feature_map.size(2), padding[0], dilation[0], weight.size(2), stride[0]);
  const auto columns = output_size(feature_map.size(3), padding[1], dilation[1], weight.size(3), stride[1]);
  TORCH_CHECK(rows >= 1 && columns >= 1, op, ": the kernel ", weight.sizes().slice(2), " dilated by ", dilation,
              " is larger than the padded map ", feature_map.sizes().slice(2));
  const at::DimVector expected{feature_map.size(0), 2 * weight.size(2) * weight.size(3), rows, columns};
  TORCH_CHECK(offset.sizes() == at::IntArrayRef(expected), op, ": offset must be ", at::IntArrayRef(expected), ", got ",
              offset.sizes());
  DeformGeometry geometry{};
  geometry.batch = feature_map.size(0);
  geometry.channels = feature_map.size(1);
  geometry.height = feature_map.size(2);
  geometry.width = feature_map.size(3);
  geometry.kernel_height = weight.size(2);
  geometry.kernel_width = weight.size(3);
  geometry.stride_y = stride[0];
  geometry.stride_x = stride[1];
  geometry.padding_y = padding[0];
  geometry.padding_x = padding[1];
  geometry.dilation_y = dilation[0];
  geometry.dilation_x = dilation[1];
  geometry.output_height = rows;
  geometry.output_width = columns;
  return geometry;
}

inline void check_grad_output(const char* op, const at::Tensor& grad_output, const at::Tensor& feature_map,
                              const at::Tensor& weight, const DeformGeometry& geometry) {
  check_like(op, "grad_output", grad_output, feature_map.scalar_type(), feature_map.device());
  const at::DimVector expected{geometry.batch, weight.size(0), geometry.output_height, geometry.output_width};
  TORCH_CHECK(grad_output.sizes() == at::IntArrayRef(expected), op, ": grad_output must be ", at::IntArrayRef(expected),
              ", got ", grad_output.sizes());
}

}  // namespace aliked_ops
