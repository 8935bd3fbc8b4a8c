"""Read accounts: the markets of a pool that they entered, and what they hold and owe there."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import DriftError
from keeper.core.lending import AccountRef
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import WORD, addresses_at_start, ask_address, int_at
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2.principals import Owing, read_principals
from keeper.protocols.venus_isolated.state import Deployment, Entry, Position


class Place(Struct, frozen=True, kw_only=True):
    """Where accounts are read: a block, the deployment at it, and where markets keep debts."""

    reader: Reader
    block: BlockRef
    deployment: Deployment
    borrows_slot: int


class _Balance(NamedTuple):
    market: int
    tokens: int
    owed: int
    """As stored, at the market's stored index."""


async def read_positions(place: Place, refs: Sequence[AccountRef]) -> dict[AccountRef, Position]:
    """Read positions, empty ones included.

    Raises DriftError when the chain does not answer as the known deployment would.
    """
    asked = [ask_address(Address(one.market), family.GET_ASSETS_IN, one.account) for one in refs]
    entered = {
        ref: _numbers(place.deployment, ref, data)
        for ref, data in zip(refs, await _answers(place, asked), strict=True)
    }
    calls = [call for ref, some in entered.items() for call in _calls(place, ref, some)]
    answers = iter(await _answers(place, calls))
    balances = {ref: list(_balances(some, answers)) for ref, some in entered.items()}
    owing = [_owing(place, ref, b) for ref, some in balances.items() for b in some if b.owed]
    principals = iter(await read_principals(place.reader, place.block, place.borrows_slot, owing))
    return {
        ref: Position(entries=tuple(_entries(some, principals)), idle=len(entered[ref]) - len(some))
        for ref, some in balances.items()
    }


def _numbers(deployment: Deployment, ref: AccountRef, data: bytes) -> list[int]:
    entered = addresses_at_start(data)
    unknown = [one for one in entered if one not in deployment.numbers]
    if unknown:
        msg = f"markets of {ref.market}: expected the listed, found {unknown[0]}"
        raise DriftError(msg)
    return [deployment.numbers[one] for one in entered]


def _calls(place: Place, ref: AccountRef, entered: Sequence[int]) -> Iterator[Call]:
    for number in entered:
        token = place.deployment.markets[number].token
        yield ask_address(token, family.GET_ACCOUNT_SNAPSHOT, ref.account)


def _balances(entered: Sequence[int], answers: Iterator[bytes]) -> Iterator[_Balance]:
    """Take the answers to ``_calls`` in their order; empty markets are left out."""
    for number in entered:
        data = next(answers)
        tokens, owed = int_at(data, 1), int_at(data, 2)
        if tokens or owed:
            yield _Balance(number, tokens, owed)


def _owing(place: Place, ref: AccountRef, balance: _Balance) -> Owing:
    market = place.deployment.markets[balance.market]
    return Owing(market.token, ref.account, balance.owed, market.stored.index)


def _entries(
    balances: Sequence[_Balance], principals: Iterator[tuple[int, int]]
) -> Iterator[Entry]:
    for one in balances:
        principal, since = next(principals) if one.owed else (0, 0)
        yield Entry(
            market=one.market, tokens=one.tokens, principal=principal, principal_index=since
        )


async def _answers(place: Place, calls: Sequence[Call]) -> list[bytes]:
    if not calls:
        return []
    results = await place.reader.call_many(calls, place.block)
    for call, result in zip(calls, results, strict=True):
        if not result.success or len(result.data) < WORD:
            found = result.data.hex() or "nothing"
            msg = f"expected an answer to 0x{call.data.hex()} at {call.to}, found {found}"
            raise DriftError(msg)
    return [one.data for one in results]
