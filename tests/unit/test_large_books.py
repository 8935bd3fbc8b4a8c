"""What a report takes of the machine that the keeper runs on."""

import tracemalloc
from pathlib import Path

from keeper.core.lending import AssetValue
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.ledger.books import read_books
from tests.support.ledger_records import VALUATION, account, landed, opened, plan, submission

OUTCOMES = 100
LISTED = 300
"""Assets of a market, all of which each plan has the prices of."""
A_ROW = 10_000
"""Bytes: some of which are the row's own, and most of what reading begins with."""


async def test_books_are_read_without_holding_every_plan_whole(tmp_path: Path) -> None:
    listed = {
        account(number): AssetValue(symbol=f"T{number}", price=number, unit=WAD)
        for number in range(LISTED)
    }
    valuation = replace(VALUATION, assets={**VALUATION.assets, **listed})
    journal = await opened(tmp_path)
    for number in range(OUTCOMES):
        one = replace(plan(number), valuation=valuation)
        sent = submission(one, nonce=number)
        await journal.seal([(one, sent)])
        await journal.settle(landed(one, sent))
    await journal.close()
    tracemalloc.start()
    books = read_books(tmp_path / "keeper.sqlite")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.collateral.symbol for one in books.entries] == OUTCOMES * ["WETH"]
    assert (tmp_path / "keeper.sqlite").stat().st_size > 2 * OUTCOMES * A_ROW
    assert peak < OUTCOMES * A_ROW
