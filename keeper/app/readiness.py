"""Could each account near the line be liquidated, if its price came? Rehearsed on the real chain.

Each account is taken alone to the nearest price at which one feed makes it liquidatable in the next
block. The protocol's own oracle is made to answer that price in a simulation, the best plan is
made, and its exact transaction must liquidate what the rules predict, to the wei. Nothing is sent
and no key is read. Exchanges stay as they are at the block, so what it would net is not foretold.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from keeper.app.builders import limits_of
from keeper.app.explain import Crossing, Moment, crossings_of, nothing_at_stake, paused
from keeper.app.growing import moved_by_time
from keeper.app.study import Study
from keeper.core.chain import StateOverride
from keeper.core.lending import AccountRef, Health, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Prices
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.policy import judge
from keeper.executor.rehearse import Stage, rehearse
from keeper.oracle.answering import answering
from keeper.oracle.asking_ahead import asked

_BROKEN = frozenset((Reason.SIMULATION_FAILED, Reason.SIMULATION_DIFFERS))


class Trial(Struct, frozen=True, kw_only=True):
    """What came of one account's rehearsal."""

    ref: AccountRef
    health: Health
    """In the next block, at the prices as they are."""
    crossing: Crossing | None
    """The nearest; None when it is under the line already, or no price of one feed takes it."""
    done: Plan | Rejection

    @property
    def fails(self) -> bool:
        """Return whether a plan was made that the chain does not carry out as foretold."""
        return isinstance(self.done, Rejection) and self.done.reason in _BROKEN


async def trials(
    study: Study[Any, Any],
    positions: Mapping[AccountRef, Any],
    *,
    below: int | None,
    most: int,
) -> AsyncIterator[Trial]:
    """Rehearse the riskiest accounts, at most so many, of a health factor ``below`` (wad).

    Raises TransientError or StaleError when the node does not answer.
    """
    moment = await _next_block(study)
    healths = study.scan(positions, moment.prices).health
    near = [ref for ref, one in healths.items() if below is None or one.health_factor < below]
    near.sort(key=lambda ref: (healths[ref].health_factor, ref))
    for ref in near[:most]:
        yield await _trial(study, moment, ref, positions[ref], healths[ref])


async def _next_block(study: Study[Any, Any]) -> Moment:
    """Return the block that plans aim at, with the prices that time alone moves until then."""
    growing = [one for one in study.adapter.feeds(study.market) if one.moves_by_time]
    prices = study.prices.prices
    values = await asked(study.chain.simulator, growing, study.block, study.target)
    return Moment(
        number=study.block.number + 1,
        timestamp=study.target,
        prices={**prices, **moved_by_time(prices, values)},
    )


async def _trial(
    study: Study[Any, Any],
    moment: Moment,
    ref: AccountRef,
    position: Any,  # noqa: ANN401 - unopened here
    standing: Health,
) -> Trial:
    unit = study.adapter.base_unit(study.market, ref)
    crossing = None
    if not standing.liquidatable:
        crossing = _nearest(crossings_of(study, position, unit, moment))
    prices = moment.prices if crossing is None else _moved(moment.prices, crossing)
    done = await _planned(study, ref, position, prices)
    if isinstance(done, Plan):
        done = await _rehearsed(study, done, crossing)
    return Trial(ref=ref, health=standing, crossing=crossing, done=done)


def _nearest(crossings: Sequence[Crossing]) -> Crossing | None:
    """Return the crossing that the smallest move of its feed brings."""
    found = [one for one in crossings if one.at is not None]
    return min(found, key=lambda one: (abs(one.move_bps or 0), one.label), default=None)


def _moved(prices: Prices, crossing: Crossing) -> Prices:
    at = crossing.now if crossing.at is None else crossing.at
    return {**prices, crossing.feed: replace(prices[crossing.feed], value=at)}


async def _planned(
    study: Study[Any, Any],
    ref: AccountRef,
    position: Any,  # noqa: ANN401 - unopened here
    prices: Prices,
) -> Plan | Rejection:
    """Return the best plan at these prices, or why there is none."""
    found = study.scan({ref: position}, prices)
    if found.rejections:
        return found.rejections[0]
    if not found.opportunities:
        return Rejection(
            ref=ref,
            block=study.block.number,
            reason=Reason.HEALTHY,
            detail="no price of one feed alone takes it under the line",
        )
    if why := paused(study, ref):
        return why
    desk = await study.desk(found.opportunities)
    done = study.plan(found, {ref: position}, desk)[0]
    if isinstance(done, Rejection):
        return done
    return judge(done, limits_of(study.settings), nothing_at_stake()) or done


async def _rehearsed(
    study: Study[Any, Any], plan: Plan, crossing: Crossing | None
) -> Plan | Rejection:
    """Run the exact transaction in the next block, alone, where the oracle answers the price."""
    oracle = {} if crossing is None else await _oracle_at(study, crossing)
    stage = Stage(
        head=study.block,
        timestamp=study.target,
        ahead=(),
        overrides={**study.contract.overrides, **oracle},
    )
    held, refused = await rehearse([plan], study.chain.simulator, stage, study.decoders)
    return held[0] if held else refused[0]


async def _oracle_at(study: Study[Any, Any], crossing: Crossing) -> Mapping[Address, StateOverride]:
    """Return what makes the contract that the protocol asks answer the crossing's price."""
    feeds = {feed.id: feed for feed in study.adapter.feeds(study.market)}
    call = feeds[crossing.feed].read
    code = await study.chain.reader.code(call.to, study.block)
    at = crossing.now if crossing.at is None else crossing.at
    return answering(call.to, code, {call.data: at})
