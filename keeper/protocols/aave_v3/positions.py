"""Read accounts in two rounds: what their words flag, then the balances that are flagged."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import DriftError
from keeper.core.lending import AccountRef
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition, Reserve, StableDebt


async def read_positions(
    reader: Reader, block: BlockRef, market: AaveMarket, refs: Sequence[AccountRef]
) -> dict[AccountRef, AavePosition]:
    """Read positions at ``block``, empty ones included.

    Raises DriftError when the chain does not answer as the known market would.
    """
    words = await _words(reader, block, [call for one in refs for call in _flag_calls(market, one)])
    flagged = [_flags(market, words[2 * i], words[2 * i + 1]) for i in range(len(refs))]
    calls = [
        call
        for ref, flags in zip(refs, flagged, strict=True)
        for call in _balance_calls(flags, ref.account)
    ]
    balances = iter(await _words(reader, block, calls))
    return {ref: _position(flags, balances) for ref, flags in zip(refs, flagged, strict=True)}


class _Flags(NamedTuple):
    collateral: list[Reserve]
    debt: list[Reserve]
    emode: int


def _flag_calls(market: AaveMarket, ref: AccountRef) -> Iterator[Call]:
    yield codec.ask_address(market.pool, codec.GET_USER_CONFIGURATION, ref.account)
    yield codec.ask_address(market.pool, codec.GET_USER_EMODE, ref.account)


def _flags(market: AaveMarket, word: int, emode: int) -> _Flags:
    """Unpack ``UserConfiguration``: bit ``2i`` borrows of reserve ``i``, ``2i+1`` is collateral."""
    flags = _Flags([], [], emode)
    for reserve in market.reserves:
        if reserve is None:
            continue
        pair = word >> 2 * reserve.id & 3
        if pair & 2:
            flags.collateral.append(reserve)
        if pair & 1:
            flags.debt.append(reserve)
    return flags


def _balance_calls(flags: _Flags, account: Address) -> Iterator[Call]:
    for reserve in flags.collateral:
        yield codec.ask_address(reserve.tokens.a_token, codec.SCALED_BALANCE_OF, account)
    for reserve in flags.debt:
        yield codec.ask_address(reserve.tokens.variable_debt, codec.SCALED_BALANCE_OF, account)
        if reserve.may_have_stable_debt and reserve.tokens.stable_debt is not None:
            token = reserve.tokens.stable_debt
            yield codec.ask_address(token, codec.PRINCIPAL_BALANCE_OF, account)
            yield codec.ask_address(token, codec.GET_USER_STABLE_RATE, account)
            yield codec.ask_address(token, codec.GET_USER_LAST_UPDATED, account)


def _position(flags: _Flags, balances: Iterator[int]) -> AavePosition:
    """Take the answers to ``_balance_calls`` in their order."""
    collateral = tuple((reserve.id, next(balances)) for reserve in flags.collateral)
    debt = []
    stable = []
    for reserve in flags.debt:
        debt.append((reserve.id, next(balances)))
        if reserve.may_have_stable_debt:
            principal, rate, updated = next(balances), next(balances), next(balances)
            if principal:
                one = StableDebt(
                    reserve=reserve.id, principal=principal, rate=rate, updated=updated
                )
                stable.append(one)
    return AavePosition(
        collateral=collateral, debt=tuple(debt), stable=tuple(stable), emode=flags.emode
    )


async def _words(reader: Reader, block: BlockRef, calls: Sequence[Call]) -> list[int]:
    if not calls:
        return []
    words = []
    for call, result in zip(calls, await reader.call_many(calls, block), strict=True):
        if not result.success or len(result.data) < codec.WORD:
            found = result.data.hex() or "nothing"
            msg = f"expected an answer to 0x{call.data.hex()} at {call.to}, found {found}"
            raise DriftError(msg)
        words.append(codec.int_at(result.data, 0))
    return words
