# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import aliked_ops
import pytest
import torch
from aliked_ops.backend import Backend, load
from ops_cases import require_compiled

PACKAGE = Path(aliked_ops.__file__).parent
RELEASE = torch.__version__.split("+")[0]


def run_python(
    code: str, package_parent: Path = PACKAGE.parent, **environment: str
) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(package_parent)} | environment
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ)


def stamp(torch_release: str, cuda: str = "none") -> bytes:
    return f"\x7fELF aliked_ops built for torch={torch_release} cuda={cuda}\0".encode()


def test_a_library_built_for_this_torch_is_loaded() -> None:
    require_compiled("cpu")
    backend = aliked_ops.backend()
    assert backend.library is not None
    assert backend.library.parent == PACKAGE
    assert backend.compiled_for("cpu")
    assert backend.compiled_for(torch.device("cuda:1")) == backend.cuda
    assert not backend.compiled_for("mps")
    assert backend.name_for("cpu") == "compiled"
    assert backend.name_for("mps") == "reference"
    assert bool(backend.reason) == (torch.version.cuda is not None and not backend.cuda)


def test_reference_runs_when_asked_for_and_warns_once() -> None:
    code = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
import torch, aliked_ops
backend = aliked_ops.backend()
assert not backend.cpu and not backend.cuda and backend.library is None, backend
assert backend.name_for("cpu") == "reference"
assert not hasattr(torch.ops.aliked_ops, "get_patches")
print("imported")
feature_map = torch.arange(9.0).reshape(1, 3, 3).requires_grad_()
for _ in range(2):
    patches = aliked_ops.get_patches(feature_map, torch.tensor([[1, 1], [0, 0]]), 2)
assert patches.detach().flatten().tolist() == [4, 5, 7, 8, 0, 1, 3, 4]
patches.sum().backward()
assert feature_map.grad.flatten().tolist() == [1, 1, 0, 1, 2, 1, 0, 1, 1]
offset = torch.zeros(1, 2, 3, 3)
weight = torch.full((1, 1, 1, 1), 2.0)
assert torch.equal(aliked_ops.deform_conv2d(feature_map[None], offset, weight)[0], 2 * feature_map)
traced = torch.compile(lambda m: aliked_ops.get_patches(m, torch.tensor([[1, 1]]), 3), backend="eager", fullgraph=True)
assert torch.equal(traced(feature_map)[0], feature_map)
"""
    done = run_python(code, ALIKED_OPS="reference")
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("imported\n")
    assert before == ""
    assert after.splitlines() == [
        "WARNING aliked_ops.ops slow pure-torch operators run on cpu: ALIKED_OPS=reference is set"
    ]
    assert "warning" not in done.stderr.lower()


def test_an_unknown_choice_is_refused() -> None:
    done = run_python("import aliked_ops", ALIKED_OPS="refrence")
    assert done.returncode != 0
    assert "ValueError: ALIKED_OPS must be 'auto' or 'reference', got 'refrence'" in done.stderr


def test_importing_prints_nothing_and_needs_no_library(tmp_path: Path) -> None:
    copy = tmp_path / "aliked_ops"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    done = run_python("import aliked_ops; assert not aliked_ops.backend().cpu", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (copy / "_C.so").write_bytes(b"garbage")
    code = "import aliked_ops; print(aliked_ops.backend().reason)"
    assert f"{copy / '_C.so'}: is not a library of these operators" in run_python(code, tmp_path).stdout


def refused(directory: Path) -> Backend:
    backend = load(directory)
    assert not backend.cpu
    assert not backend.cuda
    assert backend.library is None
    assert "python -m tools.build_ops" in backend.reason
    return backend


def test_no_library_is_a_reason(tmp_path: Path) -> None:
    assert f"no compiled library in {tmp_path}" in refused(tmp_path).reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a library of these operators"),
        (b"\x7fELF", "is not a library of these operators"),
        (stamp("1.13.1"), f"was built for torch 1.13.1, this is {torch.__version__}"),
        (stamp(RELEASE, "99.9"), "was built for CUDA 99.9, this torch has"),
        (stamp(RELEASE), "does not load"),  # nothing but the stamp
    ],
)
def test_a_library_that_does_not_fit_is_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    library = tmp_path / "_C.so"
    library.write_bytes(content)
    assert f"{library}: {reason}" in refused(tmp_path).reason


def test_a_damaged_library_is_a_reason(tmp_path: Path) -> None:
    require_compiled("cpu")
    whole = aliked_ops.backend().library
    assert whole is not None
    content = whole.read_bytes()
    library = tmp_path / "_C.so"
    library.write_bytes(content[:-100])
    assert f"{library}: is cut off" in refused(tmp_path).reason
    # The processor it is for: bytes 18 and 19 of an ELF header.
    library.write_bytes(content[:18] + b"\xff\xff" + content[20:])
    assert f"{library}: does not load" in refused(tmp_path).reason


def test_every_library_that_was_tried_is_named(tmp_path: Path) -> None:
    for name in ("_C.cpython-310-x86_64-linux-gnu.so", "_C.so"):
        (tmp_path / name).write_bytes(b"garbage")
    reason = refused(tmp_path).reason
    assert reason.count("is not a library") == 2


def test_another_environments_library_does_not_hide_ours(tmp_path: Path) -> None:
    require_compiled("cpu")
    shutil.copytree(PACKAGE, tmp_path / "aliked_ops", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "aliked_ops" / "_C.cpython-300-other.so").write_bytes(stamp("1.13.1"))
    done = run_python("import aliked_ops; assert aliked_ops.backend().cpu, aliked_ops.backend()", tmp_path)
    assert done.returncode == 0, done.stderr
