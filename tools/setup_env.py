# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sets the project up: environment, ROS 2, torch, compiled ops, messages, package, weights. ``make setup`` runs it.

Needs a Python of 3.10 to 3.13, a C++ compiler, CMake and make. What was done is not done again until what it was made
from changes, so that it costs little to run before everything else.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.provision.console import Console, SetupError
from tools.provision.prerequisites import choose_interpreter, default_candidates, require_tools
from tools.provision.project import Project
from tools.provision.ros import find_installed_ros
from tools.provision.steps import plan, write_environment_script

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Waits until no other set-up of this tree is under way."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".setup.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up of this tree is under way; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(root: Path) -> None:
    """Does every step that is not up to date.

    Raises:
        SetupError: something is missing, or a step failed.
    """
    ros = find_installed_ros(os.environ)
    interpreter = choose_interpreter([ros.python] if ros else default_candidates())
    require_tools(interpreter)
    torch = tuple(shlex.split(os.environ.get("ALIKED_TORCH", "")))
    console = Console(root / "build" / "setup.log")
    project = Project(root, interpreter, ros, console, torch)
    source = f"installed in {ros.prefix}" if ros else "from wheels"
    console.note(f"Python {'.'.join(map(str, interpreter.version))} ({interpreter.executable}), ROS 2 {source}")
    steps = plan(project)
    for number, step in enumerate(steps, 1):
        title = f"[{number}/{len(steps)}] {step.title}"
        if step.stamp.matches(step.inputs):
            console.note(f"{title}: up to date")
            continue
        step.stamp.clear()
        with console.timed(title):
            step.action(project)
        step.stamp.write(step.inputs)
    write_environment_script(project)


def main() -> int:
    """Runs the set-up and turns what stops it into a few lines and an exit status."""
    argparse.ArgumentParser(prog="tools.setup_env", description=__doc__).parse_args()
    started_s = time.monotonic()
    try:
        with only_one(ROOT / "build"):
            set_up(ROOT)
    except SetupError as error:
        print(*filter(None, [error.output, f"set-up failed: {error}", f"remedy: {error.remedy}"]), sep="\n")
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; run it again to go on")
        return 130
    elapsed_s = time.monotonic() - started_s
    print(f"set-up ready in {elapsed_s:.1f} s; `. ./env.sh` gives a shell with everything", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
