"""Symbols are whatever tokens say of themselves: sums go by the tokens."""

from pathlib import Path

from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.ledger.amounts import short_hex
from keeper.ledger.books import add_up, read_books
from tests.support.ledger_records import USDC, VALUATION, landed, opened, plan, submission

BRIDGED = Address("0x" + "bd" * 20)


async def test_two_tokens_of_one_symbol_are_not_summed_as_one(tmp_path: Path) -> None:
    """As the native and the bridged USDC of a rollup, both of which Aave lists."""
    assets = {**VALUATION.assets, BRIDGED: VALUATION.assets[USDC]}
    journal = await opened(tmp_path)
    for number, debt in enumerate((USDC, BRIDGED, USDC)):
        one = replace(plan(number), valuation=replace(VALUATION, assets=assets))
        one = replace(one, option=replace(one.option, debt=debt))
        sent = submission(one, nonce=number)
        await journal.seal([(one, sent)])
        await journal.settle(landed(one, sent, shortfall=number * WAD))
    await journal.close()
    books = read_books(tmp_path / "keeper.sqlite")
    pairs = {one.name: one for one in books.per_pair()}
    names = [f"WETH / USDC {short_hex(token)}" for token in (BRIDGED, USDC)]
    assert list(pairs) == names
    assert [pairs[name].count for name in names] == [1, 2]
    assert add_up(one.realised for one in pairs.values()) == books.total.realised
