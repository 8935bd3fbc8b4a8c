"""Connections to aggregators, and the keys by which they know us."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from keeper.config.aggregators import AggregatorSettings
from keeper.config.settings import Settings
from keeper.core.ports import OfferDesk
from keeper.venues.aggregators.answer import Line, Shape
from keeper.venues.aggregators.checks import AllowList
from keeper.venues.aggregators.desk import Aggregator, Aggregators
from keeper.venues.aggregators.odos import Odos
from keeper.venues.aggregators.one_inch import OneInch
from keeper.venues.aggregators.paraswap import ParaSwap
from keeper.venues.aggregators.zero_x import ZeroX


@asynccontextmanager
async def offer_desk(settings: Settings) -> AsyncIterator[OfferDesk | None]:
    """Give a way to the configured aggregators, None when there are none."""
    if not settings.chain.aggregators:
        yield None
        return
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Aggregators(
            members=[
                aggregator_for(
                    one,
                    session,
                    chain_id=settings.chain.chain_id,
                    slippage_bps=settings.limits.slippage_bps,
                )
                for one in settings.chain.aggregators
            ]
        )


def aggregator_for(
    settings: AggregatorSettings,
    session: aiohttp.ClientSession,
    *,
    chain_id: int,
    slippage_bps: int,
) -> Aggregator:
    """Return a configured aggregator."""
    return Aggregator(
        name=settings.kind,
        shape=_shape(settings, slippage_bps),
        line=Line(url=settings.url.address, headers=_headers(settings), session=session),
        chain_id=chain_id,
        allowed=AllowList(
            targets=frozenset(settings.targets), spenders=frozenset(settings.spenders)
        ),
        deadline_ms=settings.deadline_ms,
        least_gain_bps=settings.min_gain_bps,
    )


def _shape(settings: AggregatorSettings, slippage_bps: int) -> Shape:
    match settings.kind:
        case "zero_x":
            return ZeroX(slippage_bps=slippage_bps)
        case "one_inch":
            return OneInch(slippage_bps=slippage_bps)
        case "paraswap":
            return ParaSwap(slippage_bps=slippage_bps)
        case "odos":
            return Odos(slippage_bps=slippage_bps)


def _headers(settings: AggregatorSettings) -> Mapping[str, str]:
    fixed = {"0x-version": "v2"} if settings.kind == "zero_x" else {}
    if settings.api_key_env is None:
        return fixed
    key = settings.api_key_env.get_secret_value()
    match settings.kind:
        case "zero_x":
            return {**fixed, "0x-api-key": key}
        case "one_inch":
            return {"authorization": f"Bearer {key}"}
        case _:
            return {"x-api-key": key}
