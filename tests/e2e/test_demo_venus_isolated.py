"""The demo on Venus's isolated pools, as a newcomer runs it."""

from pathlib import Path

from tests.support.demo_run import run_demo


def test_the_demo_liquidates_isolated_pools_and_checks_its_books(tmp_path: Path) -> None:
    run_demo(tmp_path, "--protocol", "venus_isolated")
