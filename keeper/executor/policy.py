"""The one gate that every send passes. Disarmed or armed, the same questions are asked."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from keeper.core.chain import Transaction
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.program_reader import read_reach
from keeper.executor.flight import Ended, Flight
from keeper.executor.forced import ForcedLimits, forced_refusal
from keeper.executor.ladder import outbiddable


class Limits(Struct, frozen=True, kw_only=True):
    """What the operator allows. Wei unless said."""

    min_profit: int
    """Least forecast net of a plan."""
    max_gas_price: int
    """Most wei per gas that a transaction may offer; a cancellation goes that far."""
    max_gas_per_tx: int
    max_gas_per_hour: int
    max_gas_per_day: int
    max_in_flight: int
    """Transactions without a final outcome at one time."""
    min_balance: int
    """Native balance that must remain with the operator."""
    forced: Mapping[str, ForcedLimits] = field(default_factory=dict)
    """By deployment; where there are none nothing is done at a loss."""
    targets: frozenset[Address] | None = None
    """What a transaction may call; None where no contract is deployed, so that none is sent."""
    tokens: frozenset[Address] | None = None
    """What may be borrowed, repaid, seized or swapped; None is anything."""
    called: frozenset[Address] | None = None
    """Whom the executor contract may call, beside pools to swap in; None is anybody."""
    spenders: frozenset[Address] | None = None
    """Who may be given an allowance of its tokens; None is anybody."""

    @property
    def max_bid(self) -> int:
        """Most wei per gas that a liquidation may offer, so that it can be cancelled."""
        return outbiddable(self.max_gas_price)


class BatchRules(Struct, frozen=True, kw_only=True):
    """What the operator wants of batches."""

    most: int = 1
    """Accounts in one transaction; 1 makes no batches."""
    risk_bps: int = 0
    """How likely it is held that one account of a batch reverts it."""

    def risk(self, net: int, count: int) -> int:
        """Return what so many accounts together risk more than alone, wei times ``BPS``.

        Alone each loses only its own net when somebody else has it first; together each of the
        others puts all of it at stake.
        """
        return (count - 1) * self.risk_bps * max(net, 0)


ALONE: Final = BatchRules()
"""Each plan is a transaction of its own."""


class Exposure(Struct, frozen=True, kw_only=True):
    """What is spent and at stake now. Wei unless said."""

    spent_hour: int
    spent_day: int
    at_stake: int
    """Most that the transactions in flight may still cost."""
    in_flight: int
    busy: frozenset[tuple[str, Address]]
    """Market and account of every intent without an outcome."""
    balances: Mapping[Address, int] | None
    """Of each operator; None when disarmed, which spends nothing."""
    staked: Mapping[Address, int] = field(default_factory=dict)
    """The part of ``at_stake`` that is each operator's."""
    left_of_totals: int | None = None
    """How much more gas the budgets over all chains leave room for; None without any."""
    forced_lost: Mapping[str, int] = field(default_factory=dict)
    """What forced liquidations lost in the last day, by deployment."""
    forced_staked: Mapping[str, int] = field(default_factory=dict)
    """Most that those in flight may still lose, by deployment."""
    held_up: frozenset[Address] = frozenset()
    """Who has something in flight that missed its block: what comes behind it waits for it."""
    ended: Ended = field(default_factory=Ended)
    """What had ended before what was spent was read."""
    as_of: int = -1
    """The flight's ``changes`` that it tells of."""

    def by_now(self, flight: Flight) -> "Exposure":
        """Return it with what took off or ended since: nothing is counted in neither place."""
        staked, left = flight.staked_since(self.ended), self.left_of_totals
        at_stake = sum(staked.values())
        return replace(
            self,
            at_stake=at_stake,
            left_of_totals=None if left is None else left - (at_stake - self.at_stake),
            in_flight=len(flight.airborne),
            busy=flight.busy,
            staked=staked,
            forced_staked=flight.forced_staked_since(self.ended),
            as_of=flight.changes,
        )

    def with_plan(self, plan: Plan) -> "Exposure":
        """Return the exposure once ``plan`` is in flight too."""
        worst, sender = worst_gas(plan), plan.transaction.sender
        forced, name = self.forced_staked, plan.deployment
        if plan.forced:
            forced = {**forced, name: forced.get(name, 0) + worst}
        return replace(
            self,
            at_stake=self.at_stake + worst,
            in_flight=self.in_flight + 1,
            busy=self.busy | {(one.ref.market, one.ref.account) for one in plan.members},
            staked={**self.staked, sender: self.staked.get(sender, 0) + worst},
            forced_staked=forced,
        )

    def forced_taken(self, deployment: str) -> int:
        """Return what is taken of a deployment's forced budget of a day, wei."""
        return self.forced_lost.get(deployment, 0) + self.forced_staked.get(deployment, 0)

    def left(self, sender: Address) -> int:
        """Return what an operator would have left if everything in flight cost the most, wei."""
        balances = self.balances or {}
        return balances.get(sender, 0) - self.staked.get(sender, 0)


def worst_gas(plan: Plan) -> int:
    """Return the most that the plan's transaction may cost in gas, wei."""
    return plan.gas_limit * plan.fees.max_fee + plan.data_cost.wei


def judge(plan: Plan, limits: Limits, exposure: Exposure) -> Rejection | None:
    """Return why the plan may not be sent now, or None when it may.

    Of a batch each account must hold by itself, the whole to the budgets.
    """
    for one in plan.members:
        if (one.ref.market, one.ref.account) in exposure.busy:
            return _no(one, Reason.IN_FLIGHT, "an intent for this account has no outcome yet")
    if plan.fees.max_fee > limits.max_bid:
        excess = plan.fees.max_fee - limits.max_bid
        detail = f"max fee {plan.fees.max_fee} wei is {excess} wei over {limits.max_bid} wei,"
        detail += f" above which a cancellation would pass the cap of {limits.max_gas_price} wei"
        return _no(plan, Reason.GAS_PRICE_CAP, detail)
    if strange := _strange(plan, limits):
        return _no(plan, Reason.POLICY, strange)
    if plan.forced:
        taken = exposure.forced_taken(plan.deployment)
        over = forced_refusal(plan.deployment, worst_gas(plan), limits.forced, taken)
        if over is not None:
            return _no(plan, Reason.FORCED_BUDGET, over)
    for one in plan.members:
        if too_little := _too_little(one, limits):
            return _no(one, Reason.BELOW_MIN_PROFIT, too_little)
    broken = _over_budget(plan, limits, exposure)
    return _no(plan, Reason.POLICY, broken) if broken else None


def _strange(plan: Plan, limits: Limits) -> str | None:
    """Return what of the plan is on no list of the operator's, in words, or None."""
    if limits.tokens is not None:
        moved = frozenset().union(*(tokens_of(each) for each in plan.members))
        if unlisted := _unlisted(moved, limits.tokens):
            return unlisted
    return strange(plan.transaction, limits)


def strange(transaction: Transaction, limits: Limits) -> str | None:
    """Return what a transaction does that is on no list of the operator's, in words, or None.

    It reads the bytes alone: the plan may be an earlier run's, whose lists were longer.
    """
    if limits.targets is not None and transaction.to not in limits.targets:
        return f"it calls {transaction.to}, which is not the executor contract"
    if limits.tokens is None and limits.called is None and limits.spenders is None:
        return None
    return _out_of_reach(transaction.data, limits)


def _unlisted(moved: frozenset[Address], listed: frozenset[Address]) -> str | None:
    for token in sorted(moved - listed):
        return f"token {token} is not among limits.tokens"
    return None


def _out_of_reach(data: bytes, limits: Limits) -> str | None:
    """Return whom the program deals with that is on no list, in words, or None."""
    try:
        reach = read_reach(data)
    except ValueError as error:
        return f"it runs no program that can be read: {error}"
    if limits.tokens is not None and (unlisted := _unlisted(reach.tokens, limits.tokens)):
        return unlisted
    for one in sorted(reach.called - (reach.called if limits.called is None else limits.called)):
        return f"the executor contract would call {one}, which is not among limits.targets"
    allowed = reach.spenders if limits.spenders is None else limits.spenders
    for one in sorted(reach.spenders - allowed):
        return f"{one} would be let spend its tokens, and is not among limits.spenders"
    return None


def tokens_of(plan: Plan) -> frozenset[Address]:
    """Return every token that a plan of one account moves, or may where an offer is not kept."""
    legs = (*plan.route, *(() if plan.local is None else plan.local.route))
    swapped = (one for leg in legs for one in (leg.token_in, leg.token_out))
    redeemed = () if plan.unwound is None else (plan.unwound.underlying.address,)
    option = plan.option
    return frozenset((option.collateral, option.debt, plan.funding.asset, *swapped, *redeemed))


def _too_little(plan: Plan, limits: Limits) -> str | None:
    """Return by how much the forecast is under the least net, in words, or None."""
    least = plan.least_net if plan.forced else max(limits.min_profit, plan.least_net)
    missing = least - plan.forecast.net
    if missing <= 0:
        return None
    return f"net {plan.forecast.net} wei is {missing} wei under the least of {least} wei"


def _over_budget(plan: Plan, limits: Limits, exposure: Exposure) -> str | None:
    """Return which budget the plan would break, in words, or None."""
    if exposure.in_flight >= limits.max_in_flight:
        return f"{exposure.in_flight} in flight, the cap is {limits.max_in_flight}"
    worst = worst_gas(plan)
    at_stake = exposure.at_stake + worst
    checks = (
        ("gas of one transaction", worst, limits.max_gas_per_tx),
        ("gas in an hour", exposure.spent_hour + at_stake, limits.max_gas_per_hour),
        ("gas in a day", exposure.spent_day + at_stake, limits.max_gas_per_day),
    )
    for what, found, cap in checks:
        if found > cap:
            return f"{what}: {found} wei at most, {found - cap} wei over the cap of {cap} wei"
    if exposure.balances is None:
        return None
    left = exposure.left(plan.transaction.sender) - worst
    if left < limits.min_balance:
        short = limits.min_balance - left
        floor = f"{short} wei under the floor of {limits.min_balance} wei"
        return f"operator balance could fall to {left} wei, {floor}"
    return None


def _no(plan: Plan, reason: Reason, detail: str) -> Rejection:
    return Rejection(
        ref=plan.ref,
        block=plan.opportunity.block.number,
        reason=reason,
        detail=detail,
        net_wei=plan.forecast.net,
    )
