"""What gas, its data, tips and bids take of a plan."""

import pytest

from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.data_fees import ArbitrumData, OpStackData
from keeper.planner.costs import GasModel, Limits
from tests.support.lending_desk import (
    DAI,
    DEEP,
    TRIANGLE,
    USDC,
    WBTC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    markets,
    option_of,
    planned,
    refused,
)


def test_a_tip_is_a_share_of_what_gas_leaves() -> None:
    limits = Limits(min_profit=0, max_gas_price=10**12, tip_bps=2_000)
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole, shared = planned(case, desk_of(*TRIANGLE)), planned(case, desk_of(*TRIANGLE), limits)
    assert shared.tip == shared.forecast.tip == whole.forecast.net // 5
    assert shared.forecast.net == whole.forecast.net - shared.tip


ROLLUP = OpStackData(
    chain_id=10,
    fjord=True,
    l1_base_fee=10**10,
    base_fee_scalar=5_227,
    blob_base_fee=10**6,
    blob_base_fee_scalar=1_014_213,
)


def test_a_data_fee_is_part_of_the_gas() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    plain = planned(case, desk_of(*TRIANGLE))
    rolled = planned(case, replace(desk_of(*TRIANGLE), data_fees=ROLLUP))
    assert rolled.data_cost == ROLLUP.of(
        rolled.transaction, gas_limit=rolled.gas_limit, fees=rolled.fees
    )
    assert rolled.forecast.gas == plain.forecast.gas + rolled.data_cost.wei
    assert rolled.forecast.net == plain.forecast.net - rolled.data_cost.wei


@pytest.mark.parametrize(("debt", "hops"), [(USDC, 2), (WETH, 1), (DAI, 3)])
def test_the_size_that_data_is_bounded_by_is_that_of_a_plan(debt: Address, hops: int) -> None:
    pools = (*TRIANGLE, *markets(DEEP, [(USDC, DAI)]))
    plan = planned(
        case_with(option_of(WBTC, debt, dollars=2_000)),
        replace(desk_of(*pools, intermediates=(WETH, USDC)), data_fees=ROLLUP),
    )
    size = GasModel().size(len(plan.route))
    assert len(plan.route) == hops
    assert plan.data_cost.wei <= ROLLUP.at_most(size).wei
    assert size * 2 // 3 < len(plan.transaction.data) + 60 < size


def test_data_that_is_charged_as_gas_is_in_gas_and_limit() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    plain = planned(case, desk_of(*TRIANGLE))
    fees = ArbitrumData(wei_per_byte=16 * 10**9, wei_per_gas=10**9)
    rolled = planned(case, replace(desk_of(*TRIANGLE), data_fees=fees))
    price = desk_of().gas_price
    assert rolled.data_cost.gas > 4_000
    assert rolled.forecast.gas == plain.forecast.gas + rolled.data_cost.gas * price
    assert rolled.gas_limit >= plain.gas_limit + rolled.data_cost.gas


@pytest.mark.parametrize("bid_bps", [0, 1_000])
@pytest.mark.parametrize(
    "charge", [ROLLUP, ArbitrumData(wei_per_byte=16 * 10**9, wei_per_gas=10**9)], ids=["op", "arb"]
)
def test_the_minimum_on_chain_pays_for_gas_and_data_with_what_is_bid(
    charge: OpStackData | ArbitrumData, bid_bps: int
) -> None:
    limits = Limits(min_profit=5, max_gas_price=10**12, haircut_bps=10_000, bid_bps=bid_bps)
    desk = replace(desk_of(*TRIANGLE), data_fees=charge)
    plan = planned(case_with(option_of(WBTC, USDC, dollars=20_000)), desk, limits)
    bid, data = plan.fees.max_fee - desk.fees.max_fee, charge.at_most(GasModel().size(2))
    price = desk.gas_price + bid
    units, rest = divmod(plan.forecast.gas - plan.data_cost.at(price), price)
    assert (rest, bid > 0) == (0, bid_bps > 0)
    data_wei = data.at(desk.gas_price) + bid * data.gas
    assert plan.min_profit == units * price + data_wei + 5


def test_a_loss_that_is_told_counts_the_data() -> None:
    """Of a pair that brings less than it owes."""
    case = case_with(option_of(WBTC, USDC, dollars=20_000), protocol=Bonus(bonus_bps=0))
    plain = refused(case, desk_of(*TRIANGLE))
    rolled = refused(case, replace(desk_of(*TRIANGLE), data_fees=ROLLUP))
    assert plain.net_wei is not None
    assert rolled.net_wei == plain.net_wei - ROLLUP.at_most(GasModel().size(2)).wei


def test_a_fixed_tip_comes_before_the_share() -> None:
    limits = Limits(min_profit=0, max_gas_price=10**12, tip_bps=2_000, tip_fixed=10**12)
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole, tipped = planned(case, desk_of(*TRIANGLE)), planned(case, desk_of(*TRIANGLE), limits)
    assert tipped.tip == 10**12 + (whole.forecast.net - 10**12) // 5


def test_a_share_of_the_profit_raises_the_priority_fee_up_to_the_cap() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole = planned(case, desk_of(*TRIANGLE))
    limits = Limits(min_profit=0, max_gas_price=10**12, bid_bps=1_000)
    bidding = planned(case, desk_of(*TRIANGLE), limits)
    raised = bidding.fees.priority_fee - whole.fees.priority_fee
    assert raised == bidding.fees.max_fee - whole.fees.max_fee > 0
    spent = bidding.forecast.gas - whole.forecast.gas
    assert whole.forecast.net // 10 - spent < 1_000_000
    assert spent <= whole.forecast.net // 10
    capped = Limits(min_profit=0, max_gas_price=whole.fees.max_fee + 7, bid_bps=1_000)
    assert planned(case, desk_of(*TRIANGLE), capped).fees.max_fee == whole.fees.max_fee + 7
