"""The table of scenarios in the docs is about tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WANTED = {*range(1, 35), *range(36, 44), *range(46, 55)}


def table() -> str:
    return (ROOT / "docs/faults.md").read_text("utf-8")


def test_every_scenario_is_in_the_table_once_and_says_how_far_it_is_covered() -> None:
    rows = [line for line in table().splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == sorted(WANTED)
    states = [row.split("|")[-2].strip() for row in rows]
    assert [one for one in states if not re.match(r"covered|partly|not\b", one)] == []


def test_every_test_that_the_table_names_is_there() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"def (test_\w+)", text)
    named = re.findall(r"`(test_\w+)\*?", table())
    assert len(named) > 20
    assert [one for one in named if not any(name.startswith(one) for name in names)] == []


def test_every_file_that_the_table_names_is_there() -> None:
    folders = {"F": "faults", "O": "onchain", "U": "unit", "E": "e2e"}
    named = re.findall(r"\b([FOUE])/([a-z_]+)", table())
    missing = [
        f"{folders[where]}/{name}"
        for where, name in named
        if not (ROOT / "tests" / folders[where] / f"test_{name}.py").is_file()
    ]
    assert missing == []
