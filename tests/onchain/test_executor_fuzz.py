"""The fuzz and invariant tests of the executor in ``contracts/test``, run by forge."""

import json
import os
import subprocess
from pathlib import Path

from tests.support.executor_stage import ROOT

CAMPAIGN = "invariant_nothing_stays_and_everybody_gets_what_was_promised()"
LEAST_CALLS = 1_000


def test_nothing_that_forge_tries_breaks_the_executor(tmp_path: Path) -> None:
    # A failure that is kept would be replayed first the next time, and be all that is tried.
    where = {
        f"FOUNDRY_{name}": str(tmp_path / name.lower())
        for name in (
            "OUT",
            "CACHE_PATH",
            "FUZZ_FAILURE_PERSIST_DIR",
            "INVARIANT_FAILURE_PERSIST_DIR",
        )
    }
    done = subprocess.run(
        [ROOT / "scripts" / "forge", "test", "--json"],
        env=os.environ | where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stderr
    results = {
        name: result
        for suite in json.loads(done.stdout).values()
        for name, result in suite["test_results"].items()
    }
    failed = {name: one["reason"] for name, one in results.items() if one["status"] != "Success"}
    assert failed == {}
    assert len(results) >= 14
    campaign = results[CAMPAIGN]["kind"]["Invariant"]
    assert campaign["calls"] >= LEAST_CALLS
    assert campaign["reverts"] == 0
