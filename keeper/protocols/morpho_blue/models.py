"""Which interest rate model a market has, told by what the model answers, and its rate."""

from collections.abc import Sequence

from keeper.core.chain import Call, CallResult
from keeper.core.units import ZERO_ADDRESS
from keeper.evm.words import WORD, int_at
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.asking import Asking, is_word
from keeper.protocols.morpho_blue.irm import adaptive_rate
from keeper.protocols.morpho_blue.rules import Totals
from keeper.protocols.morpho_blue.state import MarketParams, RateModel

_ASKED = 3


async def recognise(
    asking: Asking, markets: Sequence[tuple[str, MarketParams, bytes]]
) -> list[tuple[RateModel, int]]:
    """Return the model of each market and what it stores of it.

    A market is its id, its parameters and Morpho's answer of ``market``. A model is taken for a
    known one only if its own answer at the block is what the known rules come to.
    """
    answers = await asking.each([call for one in markets for call in _calls(*one)])
    found = []
    for i, (_, params, data) in enumerate(markets):
        own = answers[_ASKED * i : _ASKED * (i + 1)]
        found.append(_model(params, data, own, asking.block.timestamp))
    return found


def borrow_rate(model: RateModel, stored: int, totals: Totals, seconds: int) -> int:
    """Return the rate that a market accrues at, wad a second."""
    if model is RateModel.ADAPTIVE:
        supplied, borrowed = totals.supply_assets, totals.borrow_assets
        return adaptive_rate(supplied, borrowed, rate_at_target=stored, seconds=seconds).borrow_rate
    return stored if model is RateModel.FIXED else 0


def stored_call(model: RateModel, market: str, params: MarketParams) -> Call | None:
    """Return the read of what the model stores, None when that never changes."""
    if model is RateModel.ADAPTIVE:
        return codec.ask_market(params.irm, codec.RATE_AT_TARGET, market)
    return None


def _calls(market: str, params: MarketParams, data: bytes) -> tuple[Call, Call, Call]:
    return (
        codec.ask_market(params.irm, codec.RATE_AT_TARGET, market),
        codec.ask_market(params.irm, codec.BORROW_RATE_STORED, market),
        codec.ask_rate(params, data[: 6 * WORD]),
    )


def _model(
    params: MarketParams, data: bytes, answers: Sequence[CallResult], now: int
) -> tuple[RateModel, int]:
    if params.irm == ZERO_ADDRESS:
        return RateModel.NONE, 0
    at_target, fixed, view = answers
    totals, updated, _ = codec.totals_of(data)
    for model, answer in ((RateModel.ADAPTIVE, at_target), (RateModel.FIXED, fixed)):
        if not (is_word(answer) and is_word(view)):
            continue
        stored = int_at(answer.data, 0)
        if borrow_rate(model, stored, totals, now - updated) == int_at(view.data, 0):
            return model, stored
    return RateModel.UNKNOWN, 0
