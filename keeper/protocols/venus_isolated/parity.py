"""Accounts as their Comptroller and markets reckon them, beside what we hold."""

from collections.abc import Iterator, Mapping

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.core.parity import Sides
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import WORD, ask_address, int_at
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2 import rules
from keeper.protocols.venus_isolated.health import snapshot, terms_of
from keeper.protocols.venus_isolated.state import Deployment, Entry, Position

_SNAPSHOT_WORDS = 4
_LIQUIDITY_WORDS = 3
_SHORT = "short"
"""What the account is short of with nothing accrued, 1e18 dollars; negative when it is not."""


async def sides(
    reader: Reader, block: BlockRef, view: Deployment, positions: Mapping[AccountRef, Position]
) -> dict[AccountRef, Sides]:
    """Return both sides: ``getAccountLiquidity``, and of each market ``getAccountSnapshot``.

    Both judge by what is stored. An account whose price is not known is left out.
    """
    calls = [call for ref, one in positions.items() for call in _calls(view, ref, one)]
    answers = iter(await reader.call_many(calls, block) if calls else [])
    found = {}
    for ref, position in positions.items():
        chain = _liquidity(next(answers))
        mirror: dict[str, int] = {}
        for entry in position.entries:
            name = f"{view.markets[entry.market].symbol} of market {entry.market}"
            mirror |= _named(name, *_held(view, entry))
            chain |= _said(name, next(answers))
        try:
            mirror[_SHORT] = snapshot(terms_of(view, position), ()).shortfall
        except StaleError:
            continue
        found[ref] = Sides(mirror=mirror, chain=chain)
    return found


def _calls(view: Deployment, ref: AccountRef, position: Position) -> Iterator[Call]:
    yield ask_address(Address(ref.market), family.GET_ACCOUNT_LIQUIDITY, ref.account)
    for entry in position.entries:
        token = view.markets[entry.market].token
        yield ask_address(token, family.GET_ACCOUNT_SNAPSHOT, ref.account)


def _liquidity(answer: CallResult) -> dict[str, int]:
    """Return the Comptroller's verdict, nothing when it has none."""
    if not answer.success or len(answer.data) < _LIQUIDITY_WORDS * WORD:
        return {}
    return {_SHORT: int_at(answer.data, 2) - int_at(answer.data, 1)}


def _held(view: Deployment, entry: Entry) -> tuple[int, int, int]:
    line = view.lines[entry.market]
    owed = rules.borrow_balance(entry.principal, entry.principal_index, line.stored_borrow_index)
    return entry.tokens, owed, line.stored_rate


def _said(name: str, answer: CallResult) -> dict[str, int]:
    if not answer.success or len(answer.data) < _SNAPSHOT_WORDS * WORD:
        return {}
    return _named(name, *(int_at(answer.data, position) for position in (1, 2, 3)))


def _named(name: str, tokens: int, owed: int, rate: int) -> dict[str, int]:
    return {f"{name} tokens": tokens, f"{name} owed": owed, f"{name} rate": rate}
