# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from tools.document_parameters import TARGET, document


def test_the_document_is_that_of_the_code() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "run `python -m tools.document_parameters`"
