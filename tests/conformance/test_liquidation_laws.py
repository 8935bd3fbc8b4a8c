"""Laws of what may be liquidated, for what, and what it leaves, whatever the protocol."""

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from keeper.core.errors import RefusedError
from keeper.core.lending import AccountRef, Option
from keeper.core.stepping import Stepwise
from keeper.core.units import MAX_UINT256
from tests.conformance.case import Case
from tests.conformance.gathered import STRANGER, each_case, offered


def sampled(case: Case, view: Any) -> list[tuple[AccountRef, Any, Option]]:
    """Return some of what is offered: the laws that look at every account for each of it."""
    return list(offered(case, view))[::4]


def liquidated(case: Case, view: Any, position: Any, option: Option) -> Any:
    """Return the market as the largest liquidation of an option leaves it."""
    quote = case.adapter.seize(view, position, option, option.max_repay)
    return case.adapter.market_after(view, position, option, quote)


@each_case
def test_each_further_liquidation_takes_gas_and_no_more_than_the_first(case: Case):
    view = case.view()
    for _, position, option in sampled(case, view):
        quote = case.adapter.seize(view, position, option, option.max_repay)
        once, twice = (case.adapter.gas(view, position, option, (quote,) * n) for n in (1, 2))
        assert 100_000 < once < twice <= 2 * once


@each_case
def test_options_exist_only_below_the_line(case: Case):
    view = case.view()
    for position in case.positions.values():
        if not case.adapter.assess(view, position).liquidatable:
            assert case.adapter.options(view, position) == ()


@each_case
def test_every_option_is_a_collateral_and_a_debt_of_the_account(case: Case):
    view = case.view()
    for _, position, option in offered(case, view):
        legs = case.adapter.legs(view, position)
        assert option.collateral in {leg.asset for leg in legs.collateral}
        (debt,) = [leg for leg in legs.debt if leg.asset == option.debt]
        assert 0 < option.max_repay <= debt.amount


@each_case
def test_a_seizure_never_exceeds_what_is_offered_owed_or_held(case: Case):
    view = case.view()
    random = Random(1)  # noqa: S311 - a sample, not a secret
    for _, position, option in offered(case, view):
        legs = case.adapter.legs(view, position)
        (held,) = [leg.amount for leg in legs.collateral if leg.asset == option.collateral]
        for repay in (option.max_repay, random.randrange(1, option.max_repay + 1), MAX_UINT256):
            try:
                quote = case.adapter.seize(view, position, option, repay)
            except RefusedError:
                assert repay != option.max_repay
                continue
            assert 0 < quote.repay <= min(repay, option.max_repay) or repay == MAX_UINT256
            assert 0 <= quote.protocol_fee <= quote.seized <= held


@each_case
def test_a_smaller_repayment_buys_no_more_for_each_unit(case: Case):
    """So the largest bounds every amount (``planner.ceiling``), but for what is rounded."""
    view, tried = case.view(), 0
    for ref, position, option in offered(case, view):
        value = case.adapter.asset_values(view, ref.market)[option.collateral]
        whole = case.adapter.seize(view, position, option, option.max_repay)
        for part in (2, 3, 10, 1_000):
            with suppress(RefusedError):
                quote = case.adapter.seize(view, position, option, option.max_repay // part)
                fair = 2 + whole.received * (quote.repay + 1) // whole.repay
                scale = case.adapter.base_unit(view, ref).scale
                more = (quote.received - fair) * value.price
                assert more * 10_000 <= value.unit * scale
                tried += 1
    assert tried > 5


@each_case
def test_a_quote_is_reproduced_by_its_own_input(case: Case):
    view = case.view()
    for _, position, option in offered(case, view):
        quote = case.adapter.seize(view, position, option, option.max_repay)
        offer = quote.repay if quote.offer is None else quote.offer
        assert case.adapter.seize(view, position, option, offer) == quote


@each_case
def test_what_a_liquidation_leaves_of_a_market_is_a_view_of_the_same_moment(case: Case):
    view = case.view()
    for ref, position, option in sampled(case, view):
        left = liquidated(case, view, position, option)
        again = case.at(case.prices, market=left)
        values = case.adapter.asset_values(left, ref.market)
        assert values == case.adapter.asset_values(view, ref.market)
        for other in case.positions.values():
            assert case.adapter.assess(again, other) == case.adapter.assess(left, other)


@each_case
def test_a_liquidation_moves_the_debts_of_others_by_rounding_alone(case: Case):
    view = case.view()
    before = {ref: case.adapter.assess(view, one) for ref, one in case.positions.items()}
    for ref, position, option in sampled(case, view):
        left = liquidated(case, view, position, option)
        for other in case.positions.keys() - {ref}:
            debt = case.adapter.assess(left, case.positions[other]).debt_base
            assert abs(debt - before[other].debt_base) <= 1 + before[other].debt_base // 10**9


@each_case
def test_the_market_is_left_the_same_whoever_goes_on_the_account_or_others(case: Case):
    """What a further step of an account finds is what the next account finds."""
    view = case.view()
    for _, position, option in sampled(case, view):
        quote = case.adapter.seize(view, position, option, option.max_repay)
        after = case.adapter.market_after(view, position, option, quote)
        stepwise = isinstance(case.adapter, Stepwise)
        both = case.adapter.after_seize(view, position, option, quote) if stepwise else None
        assert both is None or both[0] == after


@each_case
def test_liquidations_one_after_the_other_keep_to_what_is_left(case: Case):
    """Everybody who can be is liquidated on what the others leave; nothing of it goes negative."""
    view, done = case.view(), 0
    for position in case.positions.values():
        for option in case.adapter.options(view, position)[:1]:
            legs = case.adapter.legs(view, position)
            (held,) = [leg.amount for leg in legs.collateral if leg.asset == option.collateral]
            quote = case.adapter.seize(view, position, option, option.max_repay)
            assert 0 < quote.repay <= option.max_repay
            assert 0 <= quote.protocol_fee <= quote.seized <= held
            view = case.adapter.market_after(view, position, option, quote)
            done += 1
    assert done > 3


@each_case
def test_a_healthy_account_is_refused(case: Case):
    view = case.view()
    refused = 0
    for position in case.positions.values():
        if case.adapter.assess(view, position).liquidatable:
            continue
        legs = case.adapter.legs(view, position)
        for collateral in legs.collateral:
            for debt in legs.debt:
                option = Option(collateral=collateral.asset, debt=debt.asset, max_repay=0)
                with pytest.raises(RefusedError):
                    case.adapter.seize(view, position, option, debt.amount)
                refused += 1
    assert refused > 0


@each_case
def test_calls_allow_what_is_repaid_and_a_little_headroom_at_most(case: Case):
    view = case.view()
    for ref, position, option in offered(case, view):
        quote = case.adapter.seize(view, position, option, option.max_repay)
        calls = case.adapter.calls(view, ref, option, quote, STRANGER)
        allowed = sum(call.amount for call in calls if call.token == option.debt)
        assert allowed == quote.repay + quote.headroom
        assert 0 <= quote.headroom <= quote.repay // 1_000 + 10
        assert all(call.spender is not None for call in calls if call.token is not None)
