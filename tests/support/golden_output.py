"""What a command prints, whole, held against a file under ``tests/golden/commands``.

``scripts/golden`` writes the files anew and shows what changed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden" / "commands"
WRITING = "KEEPER_GOLDEN"
"""Environment variable: ``write`` takes what is printed for what is expected."""

_PLAIN = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""A terminal's width or colours would be told by other variables."""


def printed(*arguments: str) -> str:
    """Return what the command says, its messages after its results, as a user's shell gets it."""
    command = [sys.executable, "-m", "keeper", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env=_PLAIN
    )
    assert done.returncode == 0, done.stderr
    return _masked(f"{done.stdout}--- stderr\n{done.stderr}")


def hold(name: str, text: str) -> None:
    """Fail unless ``text`` is what the file of that name says."""
    path = FOLDER / name
    if os.environ.get(WRITING) == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8").splitlines() == text.splitlines(), (
        f"{path} says otherwise: `scripts/golden` takes what is printed now, and shows the change"
    )


def _masked(text: str) -> str:
    """Hide the one thing that differs from run to run: a plan's id, which is of a block's hash."""
    return re.sub(r'"plan": "[^"]+"', '"plan": "(an id)"', text)
