"""A process that journals intents without end and says each step once it is on disk.

Run as ``python -m tests.support.journal_child FOLDER``; it is there to be killed.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from tests.support.ledger_records import landed, opened, plan, submission


async def journal_without_end(folder: Path) -> None:
    journal = await opened(folder)
    for borrower in itertools.count(1):
        one = plan(borrower)
        transaction = submission(one, nonce=borrower)
        await journal.intend(one)
        say(borrower, "intended")
        await journal.record_signed(transaction)
        say(borrower, "signed")
        await journal.record_sent(transaction)
        say(borrower, "sent")
        await journal.settle(landed(one, transaction))
        say(borrower, "landed")


def say(borrower: int, step: str) -> None:
    sys.stdout.write(f"{borrower} {step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(journal_without_end(Path(sys.argv[1])))
