"""Whatever is forced, in whatever order it ends, no more is lost than the budget allows."""

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from keeper.core.accounting import Waterfall
from keeper.core.chain import Fees
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Plan, Purpose
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.forced import ForcedLimits
from keeper.executor.policy import Exposure, Limits, judge, worst_gas
from keeper.executor.second_look import SecondLook, Verdict
from tests.support.ledger_records import DEPLOYMENT, block, plan, submission

GAS, FEE = 1_000_000, 10**9
WORST = GAS * FEE
WIDE = 10**30
DEPLOYMENTS = (DEPLOYMENT, "other")


@st.composite
def forced_plans(draw: st.DrawFn) -> Plan:
    received, gas = draw(st.integers(0, WORST)), draw(st.integers(1, 4)) * GAS // 4
    one = plan(draw(st.integers(1, 9)), deployment=draw(st.sampled_from(DEPLOYMENTS)))
    return replace(
        one,
        forced=True,
        gas_limit=gas,
        fees=Fees(max_fee=draw(st.sampled_from((FEE // 2, FEE, FEE + 1))), priority_fee=1),
        least_net=-WIDE,
        forecast=Waterfall(
            penalty=received,
            protocol_fee=0,
            swap_cost=0,
            flash_fee=0,
            gas=gas * FEE // 3,
            tip=0,
            net=received - gas * FEE // 3,
        ),
    )


@dataclass
class Chain:
    """What is in flight, and what was really lost, counted apart from what is tested."""

    limits: dict[str, ForcedLimits]
    flight: Flight = field(default_factory=Flight)
    plans: dict[str, Plan] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    nonce: int = 0

    def exposure(self) -> Exposure:
        return Exposure(
            spent_hour=0,
            spent_day=0,
            at_stake=self.flight.at_stake,
            in_flight=len(self.flight.airborne),
            busy=self.flight.busy,
            balances=None,
            forced_lost=self.lost,
            forced_staked=self.flight.forced_staked,
        )

    def policy(self) -> Limits:
        return Limits(
            min_profit=WIDE,
            max_gas_price=WIDE,
            max_gas_per_tx=WIDE,
            max_gas_per_hour=WIDE,
            max_gas_per_day=WIDE,
            max_in_flight=99,
            min_balance=0,
            forced=self.limits,
        )

    def offer(self, one: Plan) -> None:
        one = replace(one, id=f"{one.id}-{self.nonce}")
        if judge(one, self.policy(), self.exposure()) is not None:
            return
        assert worst_gas(one) <= self.limits[one.deployment].max_loss_per_tx
        signed = replace(submission(one, nonce=self.nonce), fees=one.fees)
        self.nonce += 1
        self.plans[one.id] = one
        self.flight.took_off(one, signed)
        flying = [each for each in self.plans.values() if each.id in self.flight.airborne]
        staked = sum(worst_gas(each) for each in flying if each.deployment == one.deployment)
        budget = self.limits[one.deployment].max_loss_per_day
        assert self.lost.get(one.deployment, 0) + staked <= budget

    def miss(self, index: int, *, success: bool) -> None:
        """Let the block pass without one in flight, which is replaced for as much as it may be."""
        newest, flying = self.flight.in_order()[index % len(self.flight.airborne)]
        look = SecondLook(
            simulator=None,  # type: ignore[arg-type] - nothing is run again
            auditor_of=None,  # type: ignore[arg-type]
            on_stuck=None,  # type: ignore[arg-type]
            overrides={},
            limits=self.policy(),
            block_time_s=12,
        )
        verdict = Verdict(success=success, received=0, gas_used=1, error="")
        purpose, cap = look.judged(newest, flying, verdict, block(101), self.exposure())
        assert purpose is (Purpose.LIQUIDATE if success else Purpose.CANCEL)
        if cap <= newest.fees.max_fee or newest.purpose is Purpose.CANCEL:
            return
        gas = flying.gas_limit if success else CANCEL_GAS + 999
        name, limits = flying.intent.deployment, self.limits[flying.intent.deployment]
        others = self.flight.forced_staked[name] - flying.worst_gas
        assert gas * cap <= limits.max_loss_per_tx
        assert self.lost.get(name, 0) + others + gas * cap <= limits.max_loss_per_day
        rung = replace(newest, fees=Fees(max_fee=cap, priority_fee=1), purpose=purpose)
        self.flight.replaced(rung)

    def end(self, index: int, share: int) -> None:
        """Let one land, revert or be cancelled, at any share of its highest possible gas."""
        newest, flying = self.flight.in_order()[index % len(self.flight.airborne)]
        attempts = flying.intent.attempts
        mined = attempts[share % len(attempts)]
        gas = CANCEL_GAS if mined.purpose is Purpose.CANCEL else flying.gas_limit
        cost = gas * mined.fees.max_fee * share // 100
        name = flying.intent.deployment
        assert cost <= self.limits[name].max_loss_per_tx
        self.lost = {**self.lost, name: self.lost.get(name, 0) + cost}
        self.flight.landed(newest.plan_id)


LIMITS = st.builds(
    lambda each, more: ForcedLimits(
        max_loss_per_tx=each * WORST // 4, max_loss_per_day=(each + more) * WORST // 4
    ),
    st.integers(1, 12),
    st.integers(0, 12),
)
ACTS = st.lists(
    st.one_of(
        forced_plans(),
        st.tuples(st.just("miss"), st.integers(0, 9), st.integers(0, 1)),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from((0, 30, 99, 100))),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(LIMITS, LIMITS, ACTS)
def test_no_sequence_of_forced_plans_loses_more_than_its_budget(here, there, acts):
    chain = Chain(limits=dict(zip(DEPLOYMENTS, (here, there), strict=True)))
    for act in acts:
        if isinstance(act, Plan):
            chain.offer(act)
        elif chain.flight.airborne and act[0] == "miss":
            chain.miss(act[1], success=bool(act[2]))
        elif chain.flight.airborne:
            chain.end(act[1], act[2])
        for name, limits in chain.limits.items():
            assert chain.lost.get(name, 0) <= limits.max_loss_per_day
    event(f"{min(chain.nonce, 5)} or more sent")
