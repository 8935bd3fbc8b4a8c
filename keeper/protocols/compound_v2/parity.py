"""Accounts as the Comptroller and the markets reckon them, beside what we hold."""

from collections.abc import Iterator, Mapping

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.core.parity import Figure, Sides, calls_of, compared, word
from keeper.core.ports import Reader
from keeper.evm.words import WORD, ask, ask_address, int_at
from keeper.protocols.compound_v2 import codec, rules
from keeper.protocols.compound_v2.health import stored_shortfall
from keeper.protocols.compound_v2.state import Deployment, Entry, Market, Position

_LIQUIDITY_WORDS = 3
SHORT = "short"
"""What the account is short of with nothing accrued, 1e18 dollars; negative when it is not."""


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
            short = stored_shortfall(view, position)
        except StaleError:
            continue
        asked = ask_address(view.comptroller, codec.GET_ACCOUNT_LIQUIDITY, ref.account)
        figures[ref] = [Figure(SHORT, short, asked, shortfall_told)]
        for entry in position.entries:
            figures[ref] += _of_entry(view, ref, entry)
    calls = calls_of(figures)
    return compared(figures, await reader.call_many(calls, block) if calls else [])


def shortfall_told(data: bytes) -> int | None:
    """Return the verdict in an answer of ``getAccountLiquidity``, None where there is none."""
    if len(data) < _LIQUIDITY_WORDS * WORD or int_at(data, 0) != 0:
        return None
    return int_at(data, 2) - int_at(data, 1)


def _of_entry(view: Deployment, ref: AccountRef, entry: Entry) -> Iterator[Figure]:
    market, line = view.markets[entry.market], view.lines[entry.market]
    name = f"{market.symbol} of market {entry.market}"
    owed = rules.borrow_balance(entry.principal, entry.principal_index, line.stored_borrow_index)
    asked = ask_address(market.token, codec.GET_ACCOUNT_SNAPSHOT, ref.account)
    yield Figure(f"{name} tokens", entry.tokens, asked, word(1))
    yield Figure(f"{name} owed", owed, asked, word(2))
    yield Figure(f"{name} rate", line.stored_rate, asked, word(3))
    yield from _of_interest(name, market, by_second=view.by_second)


def _of_interest(name: str, market: Market, *, by_second: bool) -> Iterator[Figure]:
    """Yield what the interest since a market's last accrual follows from."""
    rate = codec.RATE_PER_SECOND if by_second else codec.RATE_PER_BLOCK
    since = codec.ACCRUED_AT_SECOND if by_second else codec.ACCRUED_AT_BLOCK
    for what, mine, function in (
        ("borrow rate", market.rate, rate),
        ("accrual", market.accrued_at, since),
        ("reserve factor", market.reserve_factor, codec.RESERVE_FACTOR),
    ):
        yield Figure(f"{name} {what}", mine, ask(market.token, function), word(0))
