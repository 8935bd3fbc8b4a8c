"""The documentation's way to copy a database, typed as it stands there."""

import shlex
import subprocess
import sys
from pathlib import Path


def back_up(database: Path, copy: Path) -> None:
    lines = Path("docs/operations.md").read_text("utf-8").splitlines()
    program = shlex.split(next(line for line in lines if ".backup(" in line))[2]
    subprocess.run([sys.executable, "-c", program, str(database), str(copy)], check=True)
