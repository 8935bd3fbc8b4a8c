"""Accounts as the Pool itself reckons them, beside our own reckoning."""

from collections.abc import Mapping

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef, Health
from keeper.core.parity import Sides
from keeper.core.ports import Reader
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition

_WORDS = 6


async def sides(
    reader: Reader,
    block: BlockRef,
    view: AaveMarket,
    positions: Mapping[AccountRef, AavePosition],
) -> dict[AccountRef, Sides]:
    """Return both sides by ``getUserAccountData``; accounts without a known price are left out."""
    ours = {ref: found for ref, one in positions.items() if (found := _ours(view, one))}
    function = codec.GET_USER_ACCOUNT_DATA
    calls = [codec.ask_address(view.pool, function, ref.account) for ref in ours]
    answers = await reader.call_many(calls, block) if calls else []
    return {
        ref: Sides(mirror=_figures(*mine), chain=_said(answer.data if answer.success else b""))
        for (ref, mine), answer in zip(ours.items(), answers, strict=True)
    }


def _ours(view: AaveMarket, position: AavePosition) -> tuple[int, int, int] | None:
    try:
        found: Health = assess(view, position)
    except StaleError:
        return None
    return found.collateral_base, found.debt_base, found.health_factor


def _said(data: bytes) -> dict[str, int]:
    if len(data) != _WORDS * codec.WORD:
        return {}
    return _figures(codec.int_at(data, 0), codec.int_at(data, 1), codec.int_at(data, 5))


def _figures(collateral: int, debt: int, health_factor: int) -> dict[str, int]:
    return {"collateral_base": collateral, "debt_base": debt, "health_factor": health_factor}
