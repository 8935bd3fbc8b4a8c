"""Accounts as their Comptroller and markets reckon them, beside what we hold."""

from collections.abc import Iterator, Mapping

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.core.parity import Figure, Sides, calls_of, compared, word
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import ask, ask_address
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.parity import SHORT, shortfall_told
from keeper.protocols.venus_isolated.health import snapshot, terms_of
from keeper.protocols.venus_isolated.state import Deployment, Entry, Position


async def sides(
    reader: Reader, block: BlockRef, view: Deployment, positions: Mapping[AccountRef, Position]
) -> dict[AccountRef, Sides]:
    """Return both sides: ``getAccountLiquidity``, and of each market ``getAccountSnapshot``.

    Both judge by what is stored; what makes interest of that is compared beside them. An account
    whose price is not known is left out.
    """
    figures = {}
    for ref, position in positions.items():
        try:
            short = snapshot(terms_of(view, position), ()).shortfall
        except StaleError:
            continue
        asked = ask_address(Address(ref.market), family.GET_ACCOUNT_LIQUIDITY, ref.account)
        figures[ref] = [Figure(SHORT, short, asked, shortfall_told)]
        for entry in position.entries:
            figures[ref] += _of_entry(view, ref, entry)
    calls = calls_of(figures)
    return compared(figures, await reader.call_many(calls, block) if calls else [])


def _of_entry(view: Deployment, ref: AccountRef, entry: Entry) -> Iterator[Figure]:
    market, line = view.markets[entry.market], view.lines[entry.market]
    name = f"{market.symbol} of market {entry.market}"
    owed = rules.borrow_balance(entry.principal, entry.principal_index, line.stored_borrow_index)
    asked = ask_address(market.token, family.GET_ACCOUNT_SNAPSHOT, ref.account)
    yield Figure(f"{name} tokens", entry.tokens, asked, word(1))
    yield Figure(f"{name} owed", owed, asked, word(2))
    yield Figure(f"{name} rate", line.stored_rate, asked, word(3))
    for what, mine, function in (
        ("borrow rate", market.rate, family.RATE_PER_BLOCK),
        ("accrual", market.accrued_at, family.ACCRUED_AT_BLOCK),
        ("reserve factor", market.reserve_factor, family.RESERVE_FACTOR),
    ):
        yield Figure(f"{name} {what}", mine, ask(market.token, function), word(0))
