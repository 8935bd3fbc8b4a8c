"""Processes whose start is measured: with bytecode at hand, as an installed program has it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def compiled() -> Iterator[Mapping[str, str]]:
    """Yield an environment in which bytecode is written, to a folder of its own, and found."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {key: value for key, value in os.environ.items() if key not in _WITHOUT}
        yield kept | {"PYTHONPYCACHEPREFIX": folder}


def run(environment: Mapping[str, str], *arguments: str) -> str:
    """Run Python to its end and return what it said."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


_WITHOUT = ("PYTHONDONTWRITEBYTECODE",)
