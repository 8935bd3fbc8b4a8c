"""All there is to say about one account: its standing, where it crosses, what would be done."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from keeper.app.builders import limits_of
from keeper.app.halts import found_halt
from keeper.app.study import Study
from keeper.core.lending import AccountRef, BaseUnit, Health, Leg, Option, Reason, Rejection
from keeper.core.plan import Opportunity, Plan
from keeper.core.ports import Prices
from keeper.core.units import WAD, Address
from keeper.executor.policy import Exposure, judge
from keeper.mirror.pauses import EVERY_MARKET, Pauses
from keeper.scanner.crossing import crossing_price


class Term(Struct, frozen=True, kw_only=True):
    """One collateral or debt with its weight in the health factor. Base units."""

    leg: Leg
    unit: int
    """``10**decimals`` of the asset."""
    value: int


class Crossing(Struct, frozen=True, kw_only=True):
    """Where a feed takes the account over the line, every other price held."""

    feed: str
    label: str
    scale: int
    """How much of a price is one, to show it."""
    now: int
    at: int | None
    """None when no price of this feed alone does."""
    problem: str | None
    """Why the feed may not be acted on now."""
    remark: str | None = None
    """What else there is to know of the feed."""

    @property
    def move_bps(self) -> int | None:
        """How far away it is, in basis points of the present price, toward zero."""
        if self.at is None:
            return None
        distance = (self.at - self.now) * 10_000
        return distance // self.now if distance >= 0 else -(-distance // self.now)


class Moment(Struct, frozen=True, kw_only=True):
    """A block's number, timestamp and prices."""

    number: int
    timestamp: int
    prices: Prices

    @classmethod
    def of_head(cls, study: Study[Any, Any]) -> "Moment":
        """Return that of a study's own block."""
        block = study.block
        return cls(number=block.number, timestamp=block.timestamp, prices=study.prices.prices)


class Explanation(Struct, frozen=True, kw_only=True):
    """One page on one account."""

    deployment: str
    ref: AccountRef
    block: int
    unit: BaseUnit
    health: Health
    collateral: tuple[Term, ...]
    debt: tuple[Term, ...]
    crossings: tuple[Crossing, ...]
    options: tuple[Option, ...]
    plan: Plan | None
    rejection: Rejection | None
    action: str


async def explain(study: Study[Any, Any], account: Address) -> list[Explanation]:
    """Explain every place of a deployment where the account owes something."""
    refs = study.adapter.refs_of(study.market, account)
    positions = await study.positions(refs)
    return [await _explain(study, ref, position) for ref, position in positions.items()]


async def _explain(study: Study[Any, Any], ref: AccountRef, position: Any) -> Explanation:  # noqa: ANN401 - unopened here
    adapter, book = study.adapter, study.prices
    now = adapter.at(
        study.market,
        block=study.block.number,
        timestamp=study.block.timestamp,
        prices=book.prices,
    )
    legs = adapter.legs(now, position)
    unit = adapter.base_unit(study.market, ref)
    found = study.scan({ref: position}, book.prices)
    plan, rejection = await _plan(study, ref, position)
    health = adapter.assess(now, position)
    return Explanation(
        deployment=adapter.deployment,
        ref=ref,
        block=study.block.number,
        unit=unit,
        health=health,
        collateral=_terms(study, now, ref, legs.collateral),
        debt=_terms(study, now, ref, legs.debt),
        crossings=crossings_of(study, position, unit, Moment.of_head(study)),
        options=found.opportunities[0].options if found.opportunities else (),
        plan=plan,
        rejection=rejection,
        action=_action(study, health, plan, rejection),
    )


def _terms(
    study: Study[Any, Any], view: object, ref: AccountRef, legs: Sequence[Leg]
) -> tuple[Term, ...]:
    values = study.adapter.asset_values(view, ref.market)
    return tuple(
        Term(
            leg=leg,
            unit=values[leg.asset].unit,
            value=leg.amount * leg.price // values[leg.asset].unit,
        )
        for leg in legs
    )


def crossings_of(
    study: Study[Any, Any], position: object, unit: BaseUnit, moment: Moment
) -> tuple[Crossing, ...]:
    """Return where each feed that the account depends on takes it over the line."""
    adapter, book = study.adapter, study.prices
    feeds = {feed.id: feed for feed in adapter.feeds(study.market)}
    crossings = []
    for feed in sorted(adapter.feeds_of(study.market, position)):
        if feed not in moment.prices:
            continue
        at = crossing_price(
            adapter,
            study.market,
            position,
            number=moment.number,
            timestamp=moment.timestamp,
            prices=moment.prices,
            feed=feed,
        )
        crossings.append(
            Crossing(
                feed=feed,
                label=feeds[feed].label,
                scale=feeds[feed].scale or unit.scale,
                now=moment.prices[feed].value,
                at=at,
                problem=book.problems.get(feed),
                remark=book.remarks.get(feed),
            )
        )
    return tuple(crossings)


async def _plan(
    study: Study[Any, Any], ref: AccountRef, position: object
) -> tuple[Plan | None, Rejection | None]:
    """Return the best plan now, or why there is none; neither for a healthy account."""
    positions = {ref: position}
    found = study.scan(positions, study.prices.prices)
    if found.rejections:
        return None, found.rejections[0]
    opportunities: Sequence[Opportunity] = found.opportunities
    if not opportunities:
        return None, None
    if why := paused(study, ref):
        return None, why
    done = study.plan(found, positions, await study.desk(opportunities))[0]
    if isinstance(done, Rejection):
        return None, done
    refusal = judge(done, limits_of(study.settings), nothing_at_stake())
    return done, refusal or _halted(study, ref)


def paused(study: Study[Any, Any], ref: AccountRef) -> Rejection | None:
    """Return why the account's market waits for a person, or None."""
    markets = Pauses(study.settings.database, study.adapter.deployment).load()
    why = markets.get(ref.market, markets.get(EVERY_MARKET))
    if why is None:
        return None
    block = study.block.number
    return Rejection(ref=ref, block=block, reason=Reason.MARKET_PAUSED, detail=why)


def _halted(study: Study[Any, Any], ref: AccountRef) -> Rejection | None:
    """Return why nothing is sent, or None; a keeper that is not to send shows it all the same."""
    why = found_halt(study.settings) if _may_send(study) else None
    if why is None:
        return None
    return Rejection(ref=ref, block=study.block.number, reason=Reason.HALTED, detail=why)


def _may_send(study: Study[Any, Any]) -> bool:
    """Return whether the configuration is one to send with."""
    return study.settings.executor is not None and study.settings.mode.value == "live"


def nothing_at_stake() -> Exposure:
    """Return what policy judges a plan by that is looked at by itself."""
    return Exposure(
        spent_hour=0, spent_day=0, at_stake=0, in_flight=0, busy=frozenset(), balances=None
    )


def _action(
    study: Study[Any, Any], health: Health, plan: Plan | None, rejection: Rejection | None
) -> str:
    """Say what Keeper would do now, and why."""
    if rejection is not None:
        return f"leave it: {rejection.reason}: {rejection.detail}"
    if plan is None and health.health_factor < WAD:
        return "nothing: this market does not let anybody liquidate it in the next block either"
    if plan is None:
        return "nothing: the account is healthy in the next block too"
    at = f", forced, for a net of {plan.forecast.net} wei" if plan.forced else ""
    if not _may_send(study):
        why = "the keeper is not set up to send (mode, executor)"
        return f"show it{at} and send nothing: {why}"
    together = "" if plan.forced else _together(study.settings.sending.batch.most)
    return f"liquidate it{at}, when run with --arm and the rehearsal agrees{together}"


def _together(most: int) -> str:
    """Say whether it may go with others."""
    if most == 1:
        return ""
    return f"; with up to {most - 1} others in one transaction where that earns more"
