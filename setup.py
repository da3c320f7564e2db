# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the Python package aliked_ros and the compiled ops, for pip and for colcon (ament_python)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

# colcon runs a link to this file from its build folder; everything it needs lies beside the real one.
ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from tools.build_ops import BuildOps, ops_extension  # noqa: E402  found through the line above
from tools.provision.requirement_files import read_requirements  # noqa: E402

NAME = "aliked_ros"


def version() -> str:
    """The version that the package states, read without importing it."""
    text = (ROOT / NAME / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError(f'{NAME}/__init__.py must contain a line __version__ = "..."')
    return found.group(1)


def files(pattern: str) -> list[str]:
    """The files that match, relative to the root as setuptools wants them."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


setup(
    name=NAME,
    version=version(),
    description="ALIKED features, matches and tracks for ROS 2: a learned visual front-end for SLAM",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").is_file() else "",
    long_description_content_type="text/markdown",
    author="The aliked_ros developers",
    maintainer="The aliked_ros developers",
    maintainer_email="maintainers@aliked-ros.example",
    license="BSD-3-Clause",
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=[NAME, f"{NAME}.*"]), "aliked_ops"],
    package_dir={"aliked_ops": "custom_ops/aliked_ops"},
    package_data={NAME: ["py.typed"], "aliked_ops": ["py.typed"]},
    ext_modules=[ops_extension()],
    cmdclass={"build_ext": BuildOps},
    install_requires=["torch>=2.4", *read_requirements("run")],
    extras_require={
        "sim": read_requirements("sim"),
        "lightglue": read_requirements("lightglue"),
        "bench": read_requirements("bench"),
        "eval": read_requirements("eval"),
        "slam": read_requirements("slam"),
        "hloc": read_requirements("hloc"),
        "test": read_requirements("test"),
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch/*.launch.py")),
        (f"share/{NAME}/config", files("config/*.yaml")),
        (f"share/{NAME}/config/fastdds", files("config/fastdds/*.xml")),
        (f"share/{NAME}/config/foxglove", files("config/foxglove/*.json")),
        (f"share/{NAME}/config/rviz", files("config/rviz/*.rviz")),
        (f"share/{NAME}/config/security", files("config/security/*.xml")),
        (f"share/{NAME}/weights", ["weights/manifest.json", "weights/README.md"]),
        (f"share/{NAME}/aliked_msgs", files("aliked_msgs/msg/*.msg")),
    ],
    entry_points={
        "console_scripts": [
            "aliked-ros = aliked_ros.cli.main:main",
            "demo_pair = aliked_ros.cli.pair:main",
            "demo_seq = aliked_ros.cli.seq:main",
            "odometry = aliked_ros.ros.start:odometry",
            "player = aliked_ros.ros.start:player",
            "rtabmap_relay = aliked_ros.ros.start:rtabmap_relay",
            "tracker = aliked_ros.ros.start:tracker",
            "vins_relay = aliked_ros.ros.start:vins_relay",
        ],
    },
    zip_safe=False,
)
