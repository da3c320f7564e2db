# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: the nodes' parameters cannot be read")
pytestmark = pytest.mark.ros


def test_the_document_is_that_of_the_code() -> None:
    from tools.document_parameters import TARGET, document

    assert TARGET.read_text(encoding="utf-8") == document(), "run `python -m tools.document_parameters`"
