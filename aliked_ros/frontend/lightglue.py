# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""LightGlue (arXiv 2306.13643) with the weights that its authors published for ALIKED: kornia's network.

kornia is asked for an empty network and never for weights, which it would download: they are found, verified and
loaded as all others are.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aliked_ros.errors import ConfigError, ShapeError
from aliked_ros.features import Features, Float32Array, Matches
from aliked_ros.frontend.config import LIGHTGLUE_WEIGHTS, TrackingConfig
from aliked_ros.frontend.matching import matches_of_rows
from aliked_ros.network import weights

MODEL = "aliked-n16"  # whose descriptors it was trained with
_DIM = 128
_CONSTANT = "confidence_thresholds"  # a buffer that kornia computes and the published file lacks


class LightGlueMatcher:
    """A network that looks at all features of both images and at where they lie.

    Args:
        model: what extracts the features.
        device: where it runs, ``cpu`` or ``cuda:N``.
        offline: never use the network to fetch weights.

    Raises:
        ConfigError: it was not trained with the model's descriptors, or kornia is not installed.
        WeightsError: the weights are missing, corrupt, or cannot be fetched.
    """

    name = "lightglue"

    def __init__(self, model: str, device: str, *, offline: bool = False) -> None:
        if model != MODEL:
            raise ConfigError(
                f"matcher lightglue was trained with descriptors of {MODEL} and does not know those of {model}; "
                f"choose model {MODEL}, or matcher mutual_nearest_neighbours"
            )
        self._device = torch.device(device)
        self._network = _load(offline).to(self._device)

    @torch.inference_mode()
    def match(self, features: Features, reference: Features, config: TrackingConfig) -> Matches:
        """Matches with at least ``lightglue_min_score``.

        Their ``similarities`` are the network's match scores in (0, 1]: how probable it is that the two are one point,
        not the cosine of the descriptors.

        Raises:
            ShapeError: the descriptors have another dimension than those it was trained with.
        """
        for each in (features, reference):
            if each.descriptors.shape[1] != _DIM:
                raise ShapeError(f"lightglue takes descriptors of dimension {_DIM}, got {each.descriptors.shape[1]}")
        pairs, scores = self._run(features, reference)
        good = scores >= config.lightglue_min_score
        rows, rows_ref = pairs[good].T
        return matches_of_rows(features, reference, rows, rows_ref, scores[good], self.name)

    def _run(self, features: Features, reference: Features) -> tuple[NDArray[np.int64], Float32Array]:
        """All matches the network finds, (M, 2) rows of both, and their scores (M,)."""
        if len(features) == 0 or len(reference) == 0:  # kornia before 0.9 fails on nothing
            return np.empty((0, 2), np.int64), np.empty(0, np.float32)
        found = self._network({"image0": self._upload(features), "image1": self._upload(reference)})
        return found["matches"][0].cpu().numpy(), found["scores"][0].float().cpu().numpy()

    def _upload(self, features: Features) -> dict[str, Tensor]:
        size = torch.tensor([[features.image_width, features.image_height]])
        arrays = torch.from_numpy(features.keypoints_xy), torch.from_numpy(features.descriptors)
        keypoints, descriptors = (array[None].to(self._device) for array in arrays)
        return {"keypoints": keypoints, "descriptors": descriptors, "image_size": size.to(self._device)}


def _load(offline: bool) -> Any:
    """kornia's network in inference mode with exactly the published weights."""
    try:
        feature = importlib.import_module("kornia.feature")
    except ImportError as error:
        raise ConfigError(
            f"matcher lightglue needs kornia, which cannot be imported ({error}); "
            "pip install kornia, or choose matcher mutual_nearest_neighbours"
        ) from error
    state = weights.load(LIGHTGLUE_WEIGHTS, offline=offline).state_dict
    # Its own threshold keeps everything: what is good enough may change from one image to the next.
    network = feature.LightGlue(features=None, input_dim=_DIM, filter_threshold=0.0)
    network.load_state_dict({**state, _CONSTANT: network.state_dict()[_CONSTANT]}, strict=True)
    return network.eval()
