"""Accounts, their markets and prices as Morpho, its models and oracles say, beside what we hold."""

from collections.abc import Iterator, Mapping

from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef
from keeper.core.parity import Figure, Sides, calls_of, compared, word
from keeper.core.ports import Reader
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.models import stored_call
from keeper.protocols.morpho_blue.state import IsolatedMarket, MorphoMarket, MorphoPosition

_MODULUS = 2**256


async def sides(
    reader: Reader,
    block: BlockRef,
    view: MorphoMarket,
    positions: Mapping[AccountRef, MorphoPosition],
) -> dict[AccountRef, Sides]:
    """Return both sides by all that an account's health follows from: Morpho has no view of it.

    These are its position and market, what the market's rate model stores, and its prices as far
    as they are known. An account may be pre-liquidated only where it allowed that, so the
    permission is compared too.
    """
    figures = {
        ref: [*_of_account(view, ref, position, market), *_of_market(view, ref, market)]
        for ref, position in positions.items()
        if (market := view.market_of(ref.market))
    }
    calls = calls_of(figures)
    return compared(figures, await reader.call_many(calls, block) if calls else [])


def _of_account(
    view: MorphoMarket, ref: AccountRef, position: MorphoPosition, market: IsolatedMarket
) -> Iterator[Figure]:
    asked = codec.ask_position(view.morpho, market.id, ref.account)
    yield Figure("shares", position.shares, asked, word(1))
    yield Figure("collateral", position.collateral, asked, word(2))
    early = view.pre_liquidations.get(ref.market)
    if early is not None:
        allowed = codec.ask_authorized(view.morpho, ref.account, early.address)
        yield Figure("allowed", 1, allowed, word(0))


def _of_market(view: MorphoMarket, ref: AccountRef, market: IsolatedMarket) -> Iterator[Figure]:
    asked = codec.ask_market(view.morpho, codec.MARKET, market.id)
    held = {**market.totals._asdict(), "updated": market.updated, "fee": market.fee}
    for position, (name, mine) in enumerate(held.items()):
        yield Figure(name, mine, asked, word(position))
    model = stored_call(market.model, market.id, market.params)
    if model is not None:
        yield Figure("stored_rate", market.stored_rate, model, word(0))
    early = view.pre_liquidations.get(ref.market)
    for oracle in {market.params.oracle, market.params.oracle if early is None else early.oracle}:
        if (price := view.prices.get(oracle)) is not None:
            # Prices are read signed; what an oracle answers is not.
            yield Figure(f"price of {oracle}", price % _MODULUS, codec.ask_price(oracle), word(0))
