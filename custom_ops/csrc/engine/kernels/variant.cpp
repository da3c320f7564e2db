// Copyright 2026 The aliked_ros developers
// SPDX-License-Identifier: BSD-3-Clause
//
// One instruction set's kernels; compiled once for each with ALIKED_VARIANT naming it.
#include "../kernels.h"
#include "align.h"
#include "deform.h"
#include "describe.h"
#include "detect.h"
#include "image.h"
#include "match.h"
#include "product.h"
#include "score.h"

#define ALIKED_TABLE_OF(variant) ALIKED_TABLE_JOIN(kernels_, variant)
#define ALIKED_TABLE_JOIN(prefix, variant) prefix##variant
#define ALIKED_NAME_OF(variant) ALIKED_QUOTE(variant)
#define ALIKED_QUOTE(text) #text

namespace aliked_cpu {

extern const Kernels ALIKED_TABLE_OF(ALIKED_VARIANT);
const Kernels ALIKED_TABLE_OF(ALIKED_VARIANT) = {
    ALIKED_NAME_OF(ALIKED_VARIANT),
    multiply<Float32>,
#if defined(__AVX512BF16__)
    multiply<BFloat16>,
    narrow,
#else
    nullptr,
    nullptr,
#endif
    image_row,
    average_rows,
    gather,
    to_planes,
    stretch,
    score_row,
    plane_conv_selu,
    plane_conv_sigmoid,
    window_maxima,
    unsuppressed,
    features_at,
    sample_features,
    normalise,
    match,
    align,
    cut_patches,
};

}  // namespace aliked_cpu
