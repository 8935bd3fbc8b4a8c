"""Accounts and their markets' totals as Morpho stores them, beside what we hold."""

from collections.abc import Mapping

from keeper.core.chain import BlockRef, CallResult
from keeper.core.lending import AccountRef
from keeper.core.parity import Sides
from keeper.core.ports import Reader
from keeper.evm.words import WORD, int_at
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.rules import Totals
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition

_POSITION_WORDS = 3
_MARKET_WORDS = 6


async def sides(
    reader: Reader,
    block: BlockRef,
    view: MorphoMarket,
    positions: Mapping[AccountRef, MorphoPosition],
) -> dict[AccountRef, Sides]:
    """Return both sides by ``position`` and ``market``; Morpho has no view of an account's health.

    An account may be pre-liquidated only where it allowed that, so the permission is compared too.
    """
    followed = {ref: found for ref in positions if (found := view.market_of(ref.market))}
    early = [ref for ref in followed if ref.market in view.pre_liquidations]
    ids = list(dict.fromkeys(one.id for one in followed.values()))
    calls = [codec.ask_position(view.morpho, one.id, r.account) for r, one in followed.items()]
    calls += [codec.ask_market(view.morpho, codec.MARKET, key) for key in ids]
    calls += [
        codec.ask_authorized(view.morpho, ref.account, view.pre_liquidations[ref.market].address)
        for ref in early
    ]
    answers = iter(await reader.call_many(calls, block) if calls else [])
    accounts = {ref: _position(next(answers)) for ref in followed}
    totals = {key: _totals(next(answers)) for key in ids}
    allowed = {ref: {"allowed": int_at(next(answers).data, 0)} for ref in early}
    return {
        ref: Sides(
            mirror={
                "shares": positions[ref].shares,
                "collateral": positions[ref].collateral,
                **market.totals._asdict(),
                **({"allowed": 1} if ref in allowed else {}),
            },
            chain={**accounts[ref], **totals[market.id], **allowed.get(ref, {})},
        )
        for ref, market in followed.items()
    }


def _position(answer: CallResult) -> dict[str, int]:
    if not answer.success or len(answer.data) < _POSITION_WORDS * WORD:
        return {}
    return {"shares": int_at(answer.data, 1), "collateral": int_at(answer.data, 2)}


def _totals(answer: CallResult) -> dict[str, int]:
    if not answer.success or len(answer.data) < _MARKET_WORDS * WORD:
        return {}
    found: Totals = codec.totals_of(answer.data)[0]
    return found._asdict()
