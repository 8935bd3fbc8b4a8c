"""Accounts as their markets themselves reckon them, beside what we hold."""

from collections.abc import Mapping

from keeper.core.chain import BlockRef, CallResult
from keeper.core.lending import AccountRef
from keeper.core.parity import Sides
from keeper.core.ports import Reader
from keeper.evm.words import WORD, ask_address, int_at
from keeper.protocols.compound_v2 import codec, rules
from keeper.protocols.compound_v2.state import Deployment, Entry, Position

_SNAPSHOT_WORDS = 4


async def sides(
    reader: Reader, block: BlockRef, view: Deployment, positions: Mapping[AccountRef, Position]
) -> dict[AccountRef, Sides]:
    """Return both sides by ``getAccountSnapshot``: cTokens, stored debt and exchange rate."""
    calls = [
        ask_address(view.markets[entry.market].token, codec.GET_ACCOUNT_SNAPSHOT, ref.account)
        for ref, position in positions.items()
        for entry in position.entries
    ]
    answers = iter(await reader.call_many(calls, block) if calls else [])
    found = {}
    for ref, position in positions.items():
        mirror: dict[str, int] = {}
        chain: dict[str, int] = {}
        for entry in position.entries:
            symbol = view.markets[entry.market].symbol
            mirror |= _named(symbol, *_held(view, entry))
            chain |= _said(symbol, next(answers))
        found[ref] = Sides(mirror=mirror, chain=chain)
    return found


def _held(view: Deployment, entry: Entry) -> tuple[int, int, int]:
    line = view.lines[entry.market]
    owed = 0
    if entry.principal:
        index = line.stored_borrow_index
        owed = rules.borrow_balance(entry.principal, entry.principal_index, index)
    return entry.tokens, owed, line.stored_rate


def _said(symbol: str, answer: CallResult) -> dict[str, int]:
    if not answer.success or len(answer.data) < _SNAPSHOT_WORDS * WORD:
        return {}
    return _named(symbol, *(int_at(answer.data, position) for position in (1, 2, 3)))


def _named(symbol: str, tokens: int, owed: int, rate: int) -> dict[str, int]:
    return {f"{symbol} tokens": tokens, f"{symbol} owed": owed, f"{symbol} rate": rate}
