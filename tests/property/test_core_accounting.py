"""The penalty waterfall: exact to the wei, whatever moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.accounting import Settlement, Waterfall, gas_only, waterfall
from keeper.core.errors import InvariantError
from keeper.core.lending import AccountRef, AssetValue, Liquidation, Valuation
from keeper.core.units import WAD, Address
from tests.support.ledger_records import MARKET, OPERATOR, account, landed, plan, submission

ASSETS = [Address(f"0x{number:040x}") for number in (1, 2, 3)]
WEI = st.integers(min_value=0, max_value=10**24)
RAW = st.integers(min_value=0, max_value=10**28)


@st.composite
def valuations(draw: st.DrawFn) -> Valuation:
    price = st.integers(min_value=1, max_value=10**14)
    return Valuation(
        assets={
            asset: AssetValue(
                symbol=f"T{asset[-1]}",
                price=draw(price),
                unit=10 ** draw(st.sampled_from((0, 6, 8, 18))),
            )
            for asset in ASSETS
        },
        native_price=draw(price),
    )


@st.composite
def liquidations(draw: st.DrawFn) -> Liquidation:
    seized = draw(RAW)
    some = plan()
    (log_of,) = landed(some, submission(some)).liquidations
    return Liquidation(
        ref=AccountRef(market=MARKET, account=account(1)),
        collateral=draw(st.sampled_from(ASSETS)),
        debt=draw(st.sampled_from(ASSETS)),
        liquidator=OPERATOR,
        repaid=draw(RAW),
        seized=seized,
        protocol_fee=draw(st.integers(min_value=0, max_value=seized)),
        tx_hash=log_of.tx_hash,
        log=log_of.log,
    )


@st.composite
def settlements(draw: st.DrawFn) -> Settlement:
    return Settlement(
        liquidations=tuple(draw(st.lists(liquidations(), max_size=3))),
        flash_fee_asset=draw(st.none() | st.sampled_from(ASSETS)),
        flash_fee=draw(RAW),
        received=draw(st.integers(min_value=-(10**24), max_value=10**24)),
        tip=draw(WEI),
        gas=draw(WEI),
    )


@given(settlements(), valuations())
def test_the_parts_sum_to_the_net_and_the_net_is_what_the_balances_gained(moved, prices):
    split = waterfall(moved, prices)
    costs = split.protocol_fee + split.swap_cost + split.flash_fee + split.gas + split.tip
    assert split.penalty - costs == split.net
    assert split.net == moved.received - moved.gas


@given(settlements(), valuations())
def test_costs_are_never_shown_as_revenue(moved, prices):
    split = waterfall(moved, prices)
    assert min(split.protocol_fee, split.flash_fee, split.gas, split.tip) >= 0
    assert (split.gas, split.tip) == (moved.gas, moved.tip)


@given(settlements(), valuations())
def test_the_penalty_is_what_the_borrower_lost_over_what_was_repaid(moved, prices):
    split = waterfall(moved, prices)
    lost = sum(prices.wei_floor(one.collateral, one.seized) for one in moved.liquidations)
    repaid = sum(prices.wei_floor(one.debt, one.repaid) for one in moved.liquidations)
    assert split.penalty == lost - repaid


def test_a_swap_better_than_the_oracle_is_a_negative_cost():
    parity = AssetValue(symbol="T", price=1, unit=WAD)
    prices = Valuation(assets=dict.fromkeys(ASSETS, parity), native_price=1)
    some = plan()
    (one,) = landed(some, submission(some)).liquidations
    seized = Liquidation(
        ref=one.ref,
        collateral=ASSETS[0],
        debt=ASSETS[1],
        liquidator=OPERATOR,
        repaid=100,
        seized=110,
        protocol_fee=1,
        tx_hash=one.tx_hash,
        log=one.log,
    )
    moved = Settlement(
        liquidations=(seized,),
        flash_fee_asset=ASSETS[1],
        flash_fee=2,
        received=12,
        tip=3,
        gas=4,
    )
    assert waterfall(moved, prices) == Waterfall(
        penalty=10, protocol_fee=1, swap_cost=-8, flash_fee=2, gas=4, tip=3, net=8
    )


@given(WEI)
def test_a_transaction_that_liquidated_nothing_costs_its_gas(gas):
    assert gas_only(gas).net == -gas


def test_a_waterfall_that_does_not_add_up_cannot_be_made():
    with pytest.raises(InvariantError, match="waterfall: expected net 4, found 5"):
        Waterfall(penalty=10, protocol_fee=1, swap_cost=1, flash_fee=1, gas=2, tip=1, net=5)


@given(valuations(), st.sampled_from(ASSETS), WEI)
def test_revenue_rounds_down_and_cost_up(prices, asset, wei):
    raw = prices.amount_ceil(asset, wei)
    assert prices.wei_floor(asset, raw) >= wei
    assert raw == 0 or prices.wei_floor(asset, raw - 1) < wei
