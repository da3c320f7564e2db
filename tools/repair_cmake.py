# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Repairs the exported CMake files of the ROS wheels.

The targets that the wheels export name the include folders of Python and NumPy of the machine that built the wheels.
CMake refuses an imported target whose include folder does not exist, so no message package could be built against
them. This replaces those folders by the ones of the environment that runs it; a second run changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

# An absolute path inside a CMake list; what follows include/ tells the two apart.
_PATH = r"(?<![\w${}/.-])/[^;\"\s${}()<>]*"
_PYTHON_INCLUDE = re.compile(_PATH + r"/include/python3\.\d+t?(?![\w.])")
_NUMPY_INCLUDE = re.compile(_PATH + r"/numpy/_?core/include(?![\w.])")


@dataclass(frozen=True)
class Includes:
    """The include folders that belong to one Python environment."""

    python: Path
    numpy: Path

    @classmethod
    def of_this_environment(cls) -> Includes:
        """The folders of the interpreter that runs this."""
        import numpy as np  # only the environment that is repaired needs NumPy

        return cls(Path(sysconfig.get_path("include")), Path(np.get_include()))


def repair_text(text: str, includes: Includes) -> str:
    """The text of a CMake file with every foreign include folder of Python and NumPy replaced."""
    text = _PYTHON_INCLUDE.sub(lambda _: includes.python.as_posix(), text)
    return _NUMPY_INCLUDE.sub(lambda _: includes.numpy.as_posix(), text)


def repair_prefix(prefix: Path, includes: Includes) -> list[Path]:
    """Repairs every exported CMake file below ``prefix``.

    Returns:
        The files that were changed, sorted; none when they were right already.
    """
    changed = []
    for path in sorted(prefix.glob("share/*/cmake/*.cmake")) + sorted(prefix.glob("lib/cmake/**/*.cmake")):
        text = path.read_text(encoding="utf-8")
        repaired = repair_text(text, includes)
        if repaired != text:
            path.write_text(repaired, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    """Repairs the environment that runs this, or the prefix that is named."""
    prefix = Path(arguments[0]) if arguments else Path(sys.prefix)
    changed = repair_prefix(prefix, Includes.of_this_environment())
    print(f"{prefix}: {len(changed)} exported CMake files repaired")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
