"""What is counted of outcomes is what the books have of them, though a reorg corrects them."""

import pytest
from prometheus_client import CollectorRegistry

from keeper.core.plan import Outcome, Status
from keeper.core.units import WAD
from keeper.telemetry.tallies import REMEMBERED, Tallies
from tests.support.ledger_records import FORECAST, ended, landed, plan, submission

GAS = WAD // 10
LANDED = landed(plan(1), submission(plan(1)))
REVERTED = ended(plan(1), Status.REVERTED, gas=GAS)
GONE = ended(plan(1), Status.DROPPED)


def counted(*outcomes: Outcome) -> tuple[float, float, float]:
    """Return the net, the gas and how many landed."""
    registry = CollectorRegistry()
    tallies = Tallies(registry)
    for one in outcomes:
        tallies.settled(one)
    landed_ones = registry.get_sample_value("keeper_settled_total", {"status": "landed"})
    net, gas = (
        registry.get_sample_value(name) for name in ("keeper_net_ether", "keeper_gas_ether_total")
    )
    assert net is not None
    assert gas is not None
    return round(net, 9), round(gas, 9), landed_ones or 0.0


NET, COST = round(FORECAST.net / WAD, 9), round(FORECAST.gas / WAD, 9)


def test_each_outcome_is_counted_with_what_it_brought() -> None:
    other = landed(plan(2), submission(plan(2), nonce=2))
    assert counted(LANDED, other) == pytest.approx((2 * NET, 2 * COST, 2.0))


def test_what_landed_in_another_block_is_counted_once() -> None:
    assert counted(LANDED, LANDED) == pytest.approx((NET, COST, 1.0))


def test_what_a_reorg_made_a_revert_of_is_a_loss() -> None:
    net, gas, _ = counted(LANDED, REVERTED)
    assert net == pytest.approx(-0.1)
    assert gas == pytest.approx(max(COST, 0.1)), "a counter never falls"


def test_what_a_reorg_took_back_brought_nothing() -> None:
    assert counted(LANDED, GONE)[0] == 0.0


def test_only_the_latest_are_remembered() -> None:
    tallies = Tallies(CollectorRegistry())
    for number in range(REMEMBERED + 5):
        tallies.settled(ended(plan(number), Status.REVERTED, gas=1))
    assert len(tallies._counted) == REMEMBERED
