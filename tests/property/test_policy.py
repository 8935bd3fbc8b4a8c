"""The one gate: whatever is asked of it and in whatever order, no limit is ever passed."""

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from keeper.core.chain import Fees
from keeper.core.lending import Reason
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.executor.policy import Exposure, Limits, judge, worst_gas
from tests.support.ledger_records import FORECAST, OPERATOR, plan

GWEI = 10**9

MOST_GAS, FEES = 1_000_000, (10 * GWEI, 20 * GWEI, 20 * GWEI + 1)
WORST = MOST_GAS * 20 * GWEI
# Small multiples and a wei beside them: hypothesis draws huge ranges mostly near zero.
BUDGET = st.builds(
    lambda quarters, beside: quarters * WORST // 4 + beside,
    st.integers(2, 20),
    st.sampled_from((-1, 0, 1)),
)

LIMITS = st.builds(
    Limits,
    min_profit=st.integers(0, 15),
    max_gas_price=st.sampled_from((20 * GWEI, 30 * GWEI)),
    max_gas_per_tx=st.sampled_from((WORST // 2, WORST - 1, WORST, 2 * WORST)),
    max_gas_per_hour=BUDGET,
    max_gas_per_day=BUDGET,
    max_in_flight=st.integers(1, 5),
    min_balance=st.sampled_from((0, 1, WORST // 4, WORST)),
)
BALANCE = BUDGET


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return a plan for one of few accounts, so that they meet again."""
    net = draw(st.integers(10, 50))
    return replace(
        plan(draw(st.integers(1, 7))),
        gas_limit=draw(st.integers(1, 4)) * MOST_GAS // 4,
        fees=Fees(max_fee=draw(st.sampled_from(FEES)), priority_fee=0),
        forecast=replace(FORECAST, swap_cost=FORECAST.swap_cost + FORECAST.net - net, net=net),
    )


@dataclass
class World:
    """What is really in flight and spent, counted apart from the policy."""

    balance: int
    flying: list[Plan] = field(default_factory=list)
    earlier: int = 0
    """Spent today before this hour."""
    spent: int = 0

    def exposure(self) -> Exposure:
        return Exposure(
            spent_hour=self.spent,
            spent_day=self.earlier + self.spent,
            at_stake=sum(map(worst_gas, self.flying)),
            in_flight=len(self.flying),
            busy=frozenset((one.ref.market, one.ref.account) for one in self.flying),
            balances={OPERATOR: self.balance},
            staked={OPERATOR: sum(map(worst_gas, self.flying))} if self.flying else {},
        )

    def land(self, index: int, share: int) -> None:
        """Let one transaction in flight end, having cost at most its worst."""
        done = self.flying.pop(index % len(self.flying))
        cost = worst_gas(done) * share // 100
        self.spent += cost
        self.balance -= cost


ACTS = st.lists(
    st.one_of(plans(), st.tuples(st.integers(0, 9), st.integers(0, 100))), min_size=1, max_size=20
)


@settings(max_examples=200)
@given(LIMITS, ACTS, BALANCE, st.integers(0, 4))
def test_no_sequence_of_plans_passes_a_limit(limits, acts, balance, earlier):
    world = World(balance=balance, earlier=earlier * WORST // 4)
    for act in acts:
        if isinstance(act, tuple):
            if world.flying:
                world.land(*act)
            continue
        if judge(act, limits, world.exposure()) is not None:
            continue
        assert act.fees.max_fee <= limits.max_gas_price
        assert act.forecast.net >= limits.min_profit
        assert worst_gas(act) <= limits.max_gas_per_tx
        world.flying.append(act)
        at_stake = sum(map(worst_gas, world.flying))
        assert len(world.flying) <= limits.max_in_flight
        assert world.spent + at_stake <= limits.max_gas_per_hour
        assert world.earlier + world.spent + at_stake <= limits.max_gas_per_day
        assert world.balance - at_stake >= limits.min_balance
        accounts = [one.ref for one in world.flying]
        assert len(accounts) == len(set(accounts))


@settings(max_examples=200)
@given(LIMITS, st.lists(plans(), max_size=12), BALANCE)
def test_a_batch_is_judged_as_if_each_were_sent_before_the_next(limits, batch, balance):
    together = World(balance=balance).exposure()
    world = World(balance=balance)
    for one in batch:
        verdict = judge(one, limits, together)
        assert (verdict is None) == (judge(one, limits, world.exposure()) is None)
        if verdict is None:
            together = together.with_plan(one)
            world.flying.append(one)
    assert together == world.exposure()
    event(f"{len(world.flying)} of a batch admitted")


@given(LIMITS, plans(), BALANCE)
def test_every_refusal_has_a_reason_and_its_figures(limits, one, balance):
    verdict = judge(one, limits, World(balance=balance).exposure())
    if verdict is not None:
        assert verdict.reason in {Reason.GAS_PRICE_CAP, Reason.BELOW_MIN_PROFIT, Reason.POLICY}
        assert any(character.isdigit() for character in verdict.detail)
        assert (verdict.ref, verdict.net_wei) == (one.ref, one.forecast.net)


@given(LIMITS, plans())
def test_disarmed_asks_for_no_balance(limits, one):
    rich = World(balance=2**200).exposure()
    disarmed = replace(rich, balances=None)
    assert judge(one, limits, disarmed) == judge(one, limits, rich)


def test_an_account_with_an_open_intent_is_refused_whatever_it_would_earn():
    world = World(balance=10**30, flying=[plan(1)])
    limits = Limits(
        min_profit=0,
        max_gas_price=10**12,
        max_gas_per_tx=10**30,
        max_gas_per_hour=10**30,
        max_gas_per_day=10**30,
        max_in_flight=9,
        min_balance=0,
    )
    refused = judge(plan(1, head=200), limits, world.exposure())
    assert refused is not None
    assert refused.reason is Reason.IN_FLIGHT
    assert judge(plan(2), limits, world.exposure()) is None


def test_a_budget_that_would_be_passed_says_by_how_much():
    one = replace(plan(1), gas_limit=MOST_GAS, fees=Fees(max_fee=20 * GWEI, priority_fee=0))
    rich = World(balance=WORST).exposure()
    wide = Limits(
        min_profit=0,
        max_gas_price=22 * GWEI,
        max_gas_per_tx=WORST,
        max_gas_per_hour=WORST,
        max_gas_per_day=WORST,
        max_in_flight=1,
        min_balance=0,
    )
    assert judge(one, wide, rich) is None
    cases = (
        (replace(wide, max_gas_price=22 * GWEI - 11), f"10 wei over {20 * GWEI - 10} wei"),
        (replace(wide, max_gas_per_tx=WORST - 5), "5 wei over the cap"),
        (replace(wide, max_gas_per_day=WORST - 3), "3 wei over the cap"),
        (replace(wide, min_balance=9), "9 wei under the floor"),
    )
    for limits, words in cases:
        refused = judge(one, limits, rich)
        assert refused is not None
        assert words in refused.detail
