"""All aggregators at once: ask, wait no longer than each one's deadline, believe nothing."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from msgspec import Struct

from keeper.core.errors import RefusedError, TransientError
from keeper.core.ports import Ask, SwapOffer
from keeper.venues.aggregators.answer import Answer, Line, Shape
from keeper.venues.aggregators.checks import LEAST_GAS, AllowList, fault

log = structlog.get_logger()

OFFER_REFUSED: Final = "offer.refused"


class Aggregator(Struct, frozen=True, kw_only=True):
    """One aggregator, and what is expected of it."""

    name: str
    shape: Shape
    line: Line
    chain_id: int
    allowed: AllowList
    deadline_ms: int
    least_gain_bps: int

    async def offer(self, ask: Ask) -> SwapOffer | None:
        """Return its offer, None when it has none in time that holds; the reason is logged."""
        try:
            async with asyncio.timeout(self.deadline_ms / 1000):
                answer = await self._checked(ask)
        except (RefusedError, TransientError) as e:
            log.warning(OFFER_REFUSED, aggregator=self.name, reason=str(e))
            return None
        except TimeoutError:
            late = f"expected an answer in {self.deadline_ms} ms, found none"
            log.warning(OFFER_REFUSED, aggregator=self.name, reason=late)
            return None
        return SwapOffer(
            source=self.name,
            ask=ask,
            amount_out=answer.amount_out,
            target=answer.target,
            spender=answer.spender,
            data=answer.data,
            gas=max(answer.gas, LEAST_GAS),
            least_gain_bps=self.least_gain_bps,
        )

    async def _checked(self, ask: Ask) -> Answer:
        answer = await self.shape.quote(self.line, self.chain_id, ask)
        if (wrong := fault(ask, answer, self.allowed)) is not None:
            raise RefusedError(wrong)
        return answer


class Aggregators(Struct, frozen=True, kw_only=True):
    """Asks every configured aggregator in parallel."""

    members: Sequence[Aggregator]

    async def offers(self, ask: Ask) -> Sequence[SwapOffer]:
        """Return the offers that came in time and hold."""
        found = await asyncio.gather(*(one.offer(ask) for one in self.members))
        return [offer for offer in found if offer is not None]
