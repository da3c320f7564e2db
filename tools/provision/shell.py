# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes env.sh, which gives a shell in which the programs, the nodes and the messages are found."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.provision.ros import InstalledRos

# Written for sh, bash and zsh, and for shells that stop at unset variables.
_HEAD = r"""# Made by `make setup`; bring it into sh, bash or zsh with `. ./env.sh`, as often as you like.

_aliked_first() {  # NAME VALUE: makes VALUE the first entry of the path list NAME, and its only occurrence
    eval "_aliked_rest=:\${$1:-}:"
    while case "$_aliked_rest" in *":$2:"*) true ;; *) false ;; esac; do
        _aliked_rest="${_aliked_rest%%":$2:"*}:${_aliked_rest#*":$2:"}"
    done
    _aliked_rest="${_aliked_rest#:}"
    _aliked_rest="${_aliked_rest%:}"
    eval "export $1=\"\$2\${_aliked_rest:+:\$_aliked_rest}\""
}
"""
_INSTALLED_ROS = r"""
_aliked_ros=@PREFIX@
case ":${AMENT_PREFIX_PATH:-}:" in
    *":$_aliked_ros:"*) ;;
    *)
        # The scripts of ROS read variables that may be unset.
        case $- in *u*) _aliked_strict=1; set +u ;; *) _aliked_strict= ;; esac
        if [ -n "${ZSH_VERSION:-}" ]; then . "$_aliked_ros/setup.zsh"
        elif [ -n "${BASH_VERSION:-}" ]; then . "$_aliked_ros/setup.bash"
        else . "$_aliked_ros/setup.sh"; fi
        if [ -n "$_aliked_strict" ]; then set -u; fi
        unset _aliked_strict
        ;;
esac
unset _aliked_ros
"""
_TAIL = r"""
# The ROS wheels skip finding their libraries where another environment's have done so.
unset PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE
unset -f _aliked_first
unset _aliked_rest
hash -r 2>/dev/null || true
"""


def path_entries(venv: Path, messages: Path, site_packages: str) -> Sequence[tuple[str, Path]]:
    """What goes first in which path list; of two entries of one list the later one ends up in front."""
    return (
        ("AMENT_PREFIX_PATH", venv),
        ("AMENT_PREFIX_PATH", messages),
        ("CMAKE_PREFIX_PATH", venv),
        ("CMAKE_PREFIX_PATH", messages),
        ("PYTHONPATH", messages / site_packages),
        ("LD_LIBRARY_PATH", messages / "lib"),
        ("PATH", venv / "bin"),
    )


def defaults(ros: InstalledRos | None) -> Mapping[str, str]:
    """Variables that are set unless the user has set them."""
    # Between processes Fast DDS's own default moves a camera image several times more slowly.
    common = {"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}
    return common if ros is not None else {**common, "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}


def render(venv: Path, messages: Path, site_packages: str, ros: InstalledRos | None) -> str:
    """The text of env.sh.

    Args:
        venv: the virtual environment.
        messages: the prefix that aliked_msgs is installed to.
        site_packages: where Python modules lie below a prefix, such as ``lib/python3.11/site-packages``.
        ros: the installed ROS 2 to bring in first; ``None`` for the wheels, which lie in the environment itself.
    """
    lines = [_HEAD]
    if ros is not None:
        lines.append(_INSTALLED_ROS.replace("@PREFIX@", shlex.quote(str(ros.prefix))))
    lines.append(f"export VIRTUAL_ENV={shlex.quote(str(venv))}")
    for name, path in path_entries(venv, messages, site_packages):
        lines.append(f"_aliked_first {name} {shlex.quote(str(path))}")
    for name, value in defaults(ros).items():
        lines.append(f'export {name}="${{{name}:-{value}}}"')
    return "\n".join(lines) + _TAIL


def write_if_changed(path: Path, text: str) -> bool:
    """Writes a file unless it holds that text already; tells whether it did."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True
