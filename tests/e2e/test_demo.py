"""The demo, as a newcomer runs it."""

from pathlib import Path

from tests.support.demo_run import run_demo


def test_demo_checks_its_books_against_the_chain_and_ends_well(tmp_path: Path) -> None:
    assert "Where the penalty went" in run_demo(tmp_path).stdout
