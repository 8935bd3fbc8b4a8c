"""Kill -9: whatever the journal said was on disk is there afterwards, and nothing twice."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ledger_records import opened, plan, submission

ROOT = Path(__file__).parents[2]
STEPS = ("intended", "signed", "sent", "landed")


def killed_after(folder, lines):
    """Run the child, kill it after it said that many steps, and return how many it said."""
    command = [sys.executable, "-m", "tests.support.journal_child", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        said = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        said += child.stdout.readlines()
    assert child.returncode == -9
    return len([line for line in said if line.endswith("\n")])


def steps_on_disk(path):
    """Return how many steps the database holds, counting four for each intent that landed."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT status FROM intents ORDER BY sequence").fetchall()
        outcomes = db.execute("SELECT count(*) FROM outcomes").fetchone()[0]
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    statuses = [STEPS.index(status) + 1 for (status,) in rows]
    assert statuses[:-1] == [len(STEPS)] * (len(statuses) - 1)
    assert outcomes == statuses.count(len(STEPS))
    return sum(statuses)


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 33])
async def test_what_was_said_to_be_on_disk_survives_a_kill(tmp_path, lines):
    said = killed_after(tmp_path, lines)
    assert steps_on_disk(tmp_path / "keeper.sqlite") in {said, said + 1}

    journal = await opened(tmp_path)
    found = await journal.open_intents()
    for intent in found:
        borrower = int(intent.ref.account, 16)
        expected = (
            None if intent.status == "intended" else submission(plan(borrower), nonce=borrower)
        )
        assert intent.submission == expected
    await journal.close()
    assert len(found) <= 1
