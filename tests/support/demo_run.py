"""``keeper demo``, run as a newcomer runs it, and its books asked again by ``keeper report``."""

import json
import re
import subprocess
import sys
from pathlib import Path

LEAST_LANDED = 10


def run_demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with its files in ``folder``; it must end well, and its books must be kept."""
    done = _keeper("demo", "--borrowers", "60", "--seed", "3", "--keep", str(folder), *options)
    net = re.search(r"ok: the books' net equals .* on chain: (\d+) wei", done.stderr)
    landed = re.search(
        r"ok: (\d+) liquidations landed, 0 reverted; (\d+) forecasts were met to the wei",
        done.stderr,
    )
    assert net is not None, done.stderr
    assert landed is not None, done.stderr
    assert int(landed[1]) >= LEAST_LANDED
    assert landed[2] == landed[1]
    assert "each with its reason" in done.stderr
    report = _keeper("report", "-c", str(folder / "keeper.yaml"), "--json").stdout
    rows = [json.loads(line) for line in report.splitlines()]
    assert sum(row["status"] == "landed" for row in rows) == int(landed[1])
    assert sum(int(row["net"]) for row in rows if row["status"] == "landed") == int(net[1])
    return done


def _keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keeper", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done
