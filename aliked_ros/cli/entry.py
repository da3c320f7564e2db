# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every command of this package does around its work: logging, errors to exit statuses, interruptions."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable

from aliked_ros.errors import AlikedError, ConfigError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

_logger = logging.getLogger(__name__)
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Adds ``-v``, which may be repeated."""
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="say more: -v what is done and where errors come from, -vv everything",
    )


def run_command(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Runs a command and turns what goes wrong into one line on stderr and an exit status.

    Returns:
        What the command returns; 1 for an error, 2 for an option out of range, 130 for Ctrl-C, and 141 where the
        reader of the output has gone.
    """
    _set_up_logging(args.verbose)
    try:
        status = run(args)
        sys.stdout.flush()  # here, not at exit, so that a closed pipe is noticed below
    except AlikedError as error:
        if args.verbose:
            _logger.exception("%s", type(error).__name__)
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILURE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return status


def _set_up_logging(verbosity: int) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("aliked_ros").setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
    if not verbosity:
        # OpenCV and FFmpeg also print what they return as errors, which the commands report in their own words.
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
