// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The operators' schemas and their CPU side: checks, tensors, the sharing of work between threads.
#include <ATen/Context.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>
#include <torch/version.h>

#include <tuple>

#include "checks.h"
#include "cpu/deform_conv2d.h"
#include "cpu/get_patches.h"

#define ALIKED_QUOTE_(text) #text
#define ALIKED_QUOTE(text) ALIKED_QUOTE_(text)
#ifndef ALIKED_CUDA_VERSION
#define ALIKED_CUDA_VERSION none
#endif

// Read from the file before it is loaded (aliked_ops/backend.py): a library made for another torch may crash.
extern "C" __attribute__((visibility("default"), used)) const char aliked_ops_stamp[] =
    "aliked_ops built for torch=" TORCH_VERSION " cuda=" ALIKED_QUOTE(ALIKED_CUDA_VERSION);

namespace aliked_ops {
namespace {

// Elements one task should touch at least: below, starting a thread costs more than it saves.
constexpr int64_t kElementsPerTask = 32768;

int64_t grain(int64_t elements_per_item) { return kElementsPerTask / std::max<int64_t>(elements_per_item, 1) + 1; }

at::Tensor get_patches(const at::Tensor& feature_map, const at::Tensor& points_xy, int64_t kernel_size) {
  check_get_patches(feature_map, points_xy, kernel_size);
  const int64_t num_points = points_xy.size(0), channels = feature_map.size(0);
  const at::Tensor points = points_xy.contiguous();
  at::Tensor patches = at::empty({num_points, channels, kernel_size, kernel_size}, feature_map.options());
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, feature_map.scalar_type(), "aliked_ops::get_patches", [&] {
    const MapView<const scalar_t> map{feature_map.const_data_ptr<scalar_t>(),
                                      channels,
                                      feature_map.size(1),
                                      feature_map.size(2),
                                      feature_map.stride(0),
                                      feature_map.stride(1),
                                      feature_map.stride(2)};
    const int64_t* xy = points.const_data_ptr<int64_t>();
    scalar_t* target = patches.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, num_points, grain(channels * kernel_size * kernel_size),
                     [&](int64_t begin, int64_t end) { cpu::copy_patches(map, xy, kernel_size, begin, end, target); });
  });
  return patches;
}

at::Tensor get_patches_backward(const at::Tensor& grad_patches, const at::Tensor& points_xy, int64_t height,
                                int64_t width) {
  check_get_patches_backward(grad_patches, points_xy, height, width);
  const int64_t num_points = points_xy.size(0), channels = grad_patches.size(1), kernel_size = grad_patches.size(3);
  const at::Tensor grad = grad_patches.contiguous(), points = points_xy.contiguous();
  at::Tensor grad_map = at::empty({channels, height, width}, grad.options());
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, grad.scalar_type(), "aliked_ops::get_patches_backward", [&] {
        const scalar_t* source = grad.const_data_ptr<scalar_t>();
        const int64_t* xy = points.const_data_ptr<int64_t>();
        scalar_t* target = grad_map.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, channels, grain(height * width), [&](int64_t begin, int64_t end) {
          cpu::patches_backward<scalar_t, at::opmath_type<scalar_t>>(source, xy, num_points, channels, kernel_size,
                                                                     height, width, begin, end, target);
        });
      });
  return grad_map;
}

// The tensors of a deformable convolution in the layout and type the CPU kernels compute with.
struct Operands {
  at::Tensor images;   // (B, H, W, C)
  at::Tensor offsets;  // (B, taps, 2, positions), contiguous
  at::Tensor weights;  // (O, taps * C)

  Operands(const at::Tensor& feature_map, const at::Tensor& offset, const at::Tensor& weight)
      : images(computed(feature_map).permute({0, 2, 3, 1}).contiguous()),
        offsets(computed(offset).contiguous()),
        weights(computed(weight).permute({0, 2, 3, 1}).reshape({weight.size(0), -1}).contiguous()) {}

  static at::Tensor computed(const at::Tensor& tensor) { return tensor.to(at::toOpMathType(tensor.scalar_type())); }
};

template <typename Real>
void sample(const DeformGeometry& geometry, const Real* image, const Real* offset, int64_t begin, int64_t end,
            Real* columns) {
  const int64_t row = geometry.taps() * geometry.channels;
  at::parallel_for(begin, end, grain(row), [&](int64_t from, int64_t to) {
    cpu::sample_columns(geometry, image, offset, from, to, columns + (from - begin) * row);
  });
}

// (O, K) weights times (P, K) columns, plus (O,) bias: (O, P). All contiguous; oneDNN would not look at strides.
// For float32 a 1x1 convolution of oneDNN's: on processors MKL does not favour it is several times faster
// than a matrix product, and unlike that it gives the same bits for every number of threads.
at::Tensor multiply(const at::Tensor& weights, const at::Tensor& columns, const std::optional<at::Tensor>& bias) {
  const int64_t rows = columns.size(0), depth = columns.size(1);
  if (columns.scalar_type() == at::kFloat && at::hasMKLDNN() && at::globalContext().userEnabledMkldnn()) {
    const at::Tensor image = columns.view({1, rows, 1, depth}).permute({0, 3, 1, 2});  // channels last
    const at::Tensor kernel = weights.view({weights.size(0), depth, 1, 1});
    return at::mkldnn_convolution(image, kernel, bias, {0, 0}, {1, 1}, {1, 1}, 1).squeeze(3).squeeze(0);
  }
  const at::Tensor product = at::mm(weights, columns.t());
  return bias ? product + bias->unsqueeze(1) : product;
}

// Positions sampled before each product: few enough for the columns to stay in the cache.
constexpr int64_t kTilePositions = 1024;

at::Tensor deform_conv2d(const at::Tensor& feature_map, const at::Tensor& offset, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding,
                         at::IntArrayRef dilation) {
  const DeformGeometry geometry =
      check_deform_conv2d("deform_conv2d", feature_map, offset, weight, bias, stride, padding, dilation);
  const Operands in(feature_map, offset, weight);
  const int64_t positions = geometry.positions(), tile = std::min(positions, kTilePositions);
  at::Tensor output = at::empty({geometry.batch, weight.size(0), positions}, in.images.options());
  at::Tensor columns = at::empty({tile, geometry.taps() * geometry.channels}, in.images.options());
  const auto bias_computed = bias ? std::make_optional(Operands::computed(*bias).contiguous()) : std::nullopt;
  AT_DISPATCH_FLOATING_TYPES(in.images.scalar_type(), "aliked_ops::deform_conv2d", [&] {
    for (int64_t b = 0; b < geometry.batch; ++b) {
      const scalar_t* image = in.images[b].const_data_ptr<scalar_t>();
      const scalar_t* offsets = in.offsets[b].const_data_ptr<scalar_t>();
      for (int64_t begin = 0; begin < positions; begin += tile) {
        const int64_t count = std::min(tile, positions - begin);
        sample(geometry, image, offsets, begin, begin + count, columns.mutable_data_ptr<scalar_t>());
        output[b].narrow(1, begin, count).copy_(multiply(in.weights, columns.narrow(0, 0, count), bias_computed));
      }
    }
  });
  return output.view({geometry.batch, weight.size(0), geometry.output_height, geometry.output_width})
      .to(feature_map.scalar_type());
}

template <typename Real>
void sample_backward(const DeformGeometry& geometry, const Real* image, const Real* offset, const Real* grad_columns,
                     Real* grad_image, Real* grad_offset) {
  const int64_t positions = geometry.positions(), row = geometry.taps() * geometry.channels;
  at::parallel_for(0, positions, grain(row), [&](int64_t begin, int64_t end) {
    cpu::offset_backward(geometry, image, offset, grad_columns, begin, end, grad_offset);
  });
  at::parallel_for(0, geometry.channels, grain(positions * geometry.taps()), [&](int64_t begin, int64_t end) {
    cpu::image_backward(geometry, offset, grad_columns, begin, end, grad_image);
  });
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> deform_conv2d_backward(
    const at::Tensor& grad_output, const at::Tensor& feature_map, const at::Tensor& offset, const at::Tensor& weight,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation) {
  const char* op = "deform_conv2d_backward";
  const DeformGeometry geometry =
      check_deform_conv2d(op, feature_map, offset, weight, std::nullopt, stride, padding, dilation);
  check_grad_output(op, grad_output, feature_map, weight, geometry);
  const Operands in(feature_map, offset, weight);
  const at::Tensor grad = Operands::computed(grad_output).flatten(2);  // (B, O, positions)
  const at::Tensor weights_transposed = in.weights.t().contiguous();
  at::Tensor grad_images = at::zeros(in.images.sizes(), in.images.options());
  at::Tensor grad_offset = at::empty(in.offsets.sizes(), in.images.options());
  at::Tensor grad_weights = at::zeros(in.weights.sizes(), in.images.options());
  at::Tensor columns = at::empty({geometry.positions(), in.weights.size(1)}, in.images.options());
  AT_DISPATCH_FLOATING_TYPES(in.images.scalar_type(), "aliked_ops::deform_conv2d_backward", [&] {
    for (int64_t b = 0; b < geometry.batch; ++b) {
      const scalar_t* image = in.images[b].const_data_ptr<scalar_t>();
      const scalar_t* offsets = in.offsets[b].const_data_ptr<scalar_t>();
      sample(geometry, image, offsets, 0, geometry.positions(), columns.mutable_data_ptr<scalar_t>());
      grad_weights.add_(multiply(grad[b].contiguous(), columns.t().contiguous(), std::nullopt));
      const at::Tensor grad_columns =
          multiply(weights_transposed, grad[b].t().contiguous(), std::nullopt).t().contiguous();
      sample_backward(geometry, image, offsets, grad_columns.const_data_ptr<scalar_t>(),
                      grad_images[b].mutable_data_ptr<scalar_t>(), grad_offset[b].mutable_data_ptr<scalar_t>());
    }
  });
  const auto finished = [&](const at::Tensor& tensor) { return tensor.contiguous().to(feature_map.scalar_type()); };
  const at::Tensor grad_weight =
      grad_weights.view({weight.size(0), weight.size(2), weight.size(3), weight.size(1)}).permute({0, 3, 1, 2});
  return {finished(grad_images.permute({0, 3, 1, 2})), finished(grad_offset), finished(grad_weight)};
}

}  // namespace
}  // namespace aliked_ops

TORCH_LIBRARY(aliked_ops, m) {
  m.def("get_patches(Tensor feature_map, Tensor points_xy, int kernel_size) -> Tensor");
  m.def("get_patches_backward(Tensor grad_patches, Tensor points_xy, SymInt height, SymInt width) -> Tensor");
  m.def(
      "deform_conv2d(Tensor feature_map, Tensor offset, Tensor weight, Tensor? bias, int[2] stride, int[2] "
      "padding, "
      "int[2] dilation) -> Tensor");
  m.def(
      "deform_conv2d_backward(Tensor grad_output, Tensor feature_map, Tensor offset, Tensor weight, int[2] "
      "stride, "
      "int[2] padding, int[2] dilation) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(aliked_ops, CPU, m) {
  m.impl("get_patches", TORCH_FN(aliked_ops::get_patches));
  m.impl("get_patches_backward", TORCH_FN(aliked_ops::get_patches_backward));
  m.impl("deform_conv2d", TORCH_FN(aliked_ops::deform_conv2d));
  m.impl("deform_conv2d_backward", TORCH_FN(aliked_ops::deform_conv2d_backward));
}
