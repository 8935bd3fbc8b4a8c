"""Read accounts: the markets they entered, what they hold and owe there, and since which index."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import DriftError
from keeper.core.lending import AccountRef
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import (
    WORD,
    addresses_at_start,
    ask,
    ask_address,
    int_at,
    word_of_address,
)
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.principals import Owing, read_principals
from keeper.protocols.compound_v2.state import CORE_POOL, Deployment, Entry, Position


class Place(Struct, frozen=True, kw_only=True):
    """Where accounts are read: a block, the deployment at it, and where markets keep debts."""

    reader: Reader
    block: BlockRef
    deployment: Deployment
    borrows_slot: int


class _Face(NamedTuple):
    """What is known of an account beside its balances."""

    entered: tuple[int, ...]
    pool: int
    restricted: bool
    vai: tuple[int, int, int]
    vai_forced: bool


class _Balance(NamedTuple):
    market: int
    account: Address
    tokens: int
    owed: int
    """As stored, at the market's stored index."""
    forced: bool


async def read_positions(place: Place, refs: Sequence[AccountRef]) -> dict[AccountRef, Position]:
    """Read positions, empty ones included.

    Raises DriftError when the chain does not answer as the known deployment would.
    """
    answers = iter(await _answers(place, [c for one in refs for c in _face_calls(place, one)]))
    faces = {ref: _face(place.deployment, answers) for ref in refs}
    calls = [call for ref, face in faces.items() for call in _balance_calls(place, ref, face)]
    answers = iter(await _answers(place, calls))
    balances = {ref: _balances(place, ref, face, answers) for ref, face in faces.items()}
    principals = await _principals(place, [b for some in balances.values() for b in some])
    owing = {ref: faces[ref] for ref in refs if any(one.owed for one in balances[ref])}
    aside = await _unentered(place, owing) if place.deployment.seizes_unentered else {}
    return {
        ref: _position(faces[ref], balances[ref], principals, aside.get(ref, ())) for ref in refs
    }


def _face_calls(place: Place, ref: AccountRef) -> Iterator[Call]:
    deployment, account = place.deployment, ref.account
    yield ask_address(deployment.comptroller, codec.GET_ASSETS_IN, account)
    if deployment.pools:
        yield ask_address(deployment.comptroller, codec.USER_POOL_ID, account)
    if deployment.liquidator is not None:
        yield ask_address(deployment.liquidator.address, codec.IS_RESTRICTED, account)
    if deployment.vai is not None:
        yield ask_address(deployment.comptroller, codec.MINTED_VAIS, account)
        yield ask_address(deployment.vai.controller, codec.PAST_VAI_INTEREST, account)
        yield ask_address(deployment.vai.controller, codec.VAI_MINTER_INDEX, account)
        if deployment.forces_accounts:
            yield _ask_forced(deployment, account, deployment.vai.controller)


def _face(deployment: Deployment, answers: Iterator[bytes]) -> _Face:
    """Take the answers to ``_face_calls`` in their order."""
    entered = addresses_at_start(next(answers))
    unknown = [one for one in entered if one not in deployment.numbers]
    if unknown:
        msg = f"markets of {deployment.comptroller}: expected the listed, found {unknown[0]}"
        raise DriftError(msg)
    pool = int_at(next(answers), 0) if deployment.pools else CORE_POOL
    restricted = deployment.liquidator is not None and int_at(next(answers), 0) == 1
    vai, vai_forced = (0, 0, 0), False
    if deployment.vai is not None:
        vai = (int_at(next(answers), 0), int_at(next(answers), 0), int_at(next(answers), 0))
        vai_forced = deployment.forces_accounts and int_at(next(answers), 0) == 1
    numbers = tuple(deployment.numbers[one] for one in entered)
    return _Face(entered=numbers, pool=pool, restricted=restricted, vai=vai, vai_forced=vai_forced)


def _balance_calls(place: Place, ref: AccountRef, face: _Face) -> Iterator[Call]:
    deployment = place.deployment
    for number in face.entered:
        token = deployment.markets[number].token
        yield ask_address(token, codec.GET_ACCOUNT_SNAPSHOT, ref.account)
        if deployment.forces_accounts:
            yield _ask_forced(deployment, ref.account, token)


def _ask_forced(deployment: Deployment, account: Address, debt: Address) -> Call:
    words = (word_of_address(account), word_of_address(debt))
    return ask(deployment.comptroller, codec.IS_FORCED_FOR_USER, *words)


def _balances(
    place: Place, ref: AccountRef, face: _Face, answers: Iterator[bytes]
) -> list[_Balance]:
    """Take the answers to ``_balance_calls`` in their order; empty markets are left out."""
    found = []
    for number in face.entered:
        snapshot = next(answers)
        forced = place.deployment.forces_accounts and int_at(next(answers), 0) == 1
        if int_at(snapshot, 0) != 0:
            token = place.deployment.markets[number].token
            msg = f"{ref.account} in {token}: expected a snapshot, found {int_at(snapshot, 0)}"
            raise DriftError(msg)
        tokens, owed = int_at(snapshot, 1), int_at(snapshot, 2)
        if tokens or owed:
            found.append(_Balance(number, ref.account, tokens, owed, forced))
    return found


async def _unentered(
    place: Place, faces: Mapping[AccountRef, _Face]
) -> dict[AccountRef, tuple[tuple[int, int], ...]]:
    """Read what accounts hold where they did not enter: market and cTokens."""
    markets = place.deployment.markets
    asked = [
        (ref, one.number, ask_address(one.token, BALANCE_OF, ref.account))
        for ref, face in faces.items()
        for one in markets
        if one.number not in face.entered
    ]
    answers = await _answers(place, [call for *_, call in asked])
    found: dict[AccountRef, tuple[tuple[int, int], ...]] = {}
    for (ref, number, _), data in zip(asked, answers, strict=True):
        if tokens := int_at(data, 0):
            found[ref] = (*found.get(ref, ()), (number, tokens))
    return found


Principals = Mapping[tuple[int, Address], tuple[int, int]]


async def _principals(place: Place, balances: Sequence[_Balance]) -> Principals:
    markets = place.deployment.markets
    owing = [one for one in balances if one.owed]
    asked = [
        Owing(markets[b.market].token, b.account, b.owed, markets[b.market].stored.index)
        for b in owing
    ]
    found = await read_principals(place.reader, place.block, place.borrows_slot, asked)
    return {(b.market, b.account): one for b, one in zip(owing, found, strict=True)}


def _position(
    face: _Face,
    balances: Sequence[_Balance],
    principals: Principals,
    unentered: tuple[tuple[int, int], ...],
) -> Position:
    entries = []
    for one in balances:
        principal, since = principals.get((one.market, one.account), (0, 0))
        entries.append(
            Entry(market=one.market, tokens=one.tokens, principal=principal, principal_index=since)
        )
    minted, past_interest, index = face.vai
    return Position(
        entries=tuple(entries),
        unentered=unentered,
        idle=len(face.entered) - len(entries),
        pool=face.pool,
        forced=frozenset(one.market for one in balances if one.forced),
        vai_forced=face.vai_forced,
        restricted=face.restricted,
        vai_minted=minted,
        vai_past_interest=past_interest,
        vai_index=index,
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
