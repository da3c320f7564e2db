# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aliked_ros.errors import WeightsError
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.network import weights
from aliked_ros.network.model import MODELS

# From the authors' release; written here apart from the manifest, so that neither can drift alone.
SHA256 = {
    "aliked-t16": "56782336919db220144a884e710e2b6af13b3b8f8da15b915a239078ab471085",
    "aliked-n16": "5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
    "aliked-n16rot": "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
    "aliked-n32": "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890",
}
MODEL = "aliked-t16"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which no weights are found; the user's cache is the returned folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(weights, "_data_directories", lambda: iter([tmp_path / "tree"]))
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda _name: None)
    weights.manifest()
    return tmp_path / "cache" / "aliked_ros"


@pytest.fixture(scope="module")
def official() -> Path:
    path = weights.locate(MODEL)
    if path is None:
        pytest.skip("no weights on this machine: run `aliked-ros weights`")
    return path


def test_manifest_is_that_of_the_release() -> None:
    assert {model: entry.sha256 for model, entry in weights.manifest().items()} == SHA256
    for entry in weights.manifest().values():
        assert entry.url.startswith("https://")
        assert entry.url.endswith(entry.file)
        assert entry.licence.startswith("BSD-3-Clause")


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_official_weights_load_strictly(model: str) -> None:
    loaded = weights.load(model, offline=True)
    network = weights.load_network(loaded)
    assert network.spec is MODELS[model]
    assert set(network.state_dict()) == set(loaded.state_dict)
    assert not network.training
    assert loaded.path.stat().st_size == loaded.entry.size_bytes


def test_search_order(nowhere: Path, official: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights.locate(MODEL) is None
    environment = tmp_path / "environment"
    for directory in (nowhere, tmp_path / "tree", environment):
        directory.mkdir(parents=True)
        shutil.copy(official, directory / official.name)
        monkeypatch.setenv(weights.ENVIRONMENT_VARIABLE, str(environment))
        assert weights.locate(MODEL) == directory / official.name
    explicit = shutil.copy(official, tmp_path / "mine.pth")
    assert weights.locate(MODEL, explicit) == Path(explicit)
    assert weights.locate(MODEL, environment) == environment / official.name


def test_a_missing_explicit_file_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights file"):
        weights.load(MODEL, tmp_path / "absent.pth")


def test_offline_says_where_it_looked(nowhere: Path) -> None:
    with pytest.raises(WeightsError, match="off limits") as raised:
        weights.load(MODEL, offline=True)
    assert str(nowhere) in str(raised.value)


def test_a_corrupt_file_is_refused(official: Path, tmp_path: Path) -> None:
    content = bytearray(official.read_bytes())
    content[len(content) // 2] ^= 1
    corrupt = tmp_path / "corrupt.pth"
    corrupt.write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256 .* is not " + SHA256[MODEL]):
        weights.load(MODEL, corrupt)


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.marker), 0o755)


def test_a_hostile_pickle_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile, marker = tmp_path / "hostile.pth", tmp_path / "marker"
    hostile.write_bytes(pickle.dumps(Hostile(marker)))
    with pytest.raises(WeightsError, match="SHA-256"):
        weights.load(MODEL, hostile)
    assert not marker.exists()
    # Even where the checksum agrees, only tensors are read.
    import hashlib

    entry = replace(weights.entry_of(MODEL), sha256=hashlib.sha256(hostile.read_bytes()).hexdigest())
    monkeypatch.setattr(weights, "entry_of", lambda _model: entry)
    with pytest.raises(pickle.UnpicklingError):
        weights.load(MODEL, hostile)
    assert not marker.exists()


def test_download_verifies_and_leaves_nothing_half_done(
    nowhere: Path, official: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = replace(weights.entry_of(MODEL), url=official.as_uri())
    monkeypatch.setattr(weights, "entry_of", lambda _model: entry)
    assert weights.obtain(MODEL) == nowhere / entry.file
    assert (nowhere / entry.file).read_bytes() == official.read_bytes()
    other = tmp_path / "other.pth"
    other.write_bytes(b"not the weights")
    monkeypatch.setattr(weights, "entry_of", lambda _model: replace(entry, url=other.as_uri()))
    with pytest.raises(WeightsError, match="SHA-256"):
        weights.download(MODEL, tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_failed_download_says_what_to_do(nowhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = replace(weights.entry_of(MODEL), url=(tmp_path / "gone.pth").as_uri())
    monkeypatch.setattr(weights, "entry_of", lambda _model: entry)
    with pytest.raises(WeightsError, match=weights.ENVIRONMENT_VARIABLE):
        weights.obtain(MODEL)


def test_unknown_models_name_the_known() -> None:
    with pytest.raises(WeightsError, match="aliked-n32"):
        weights.entry_of("aliked-x8")
