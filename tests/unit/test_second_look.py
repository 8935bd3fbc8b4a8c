"""What becomes of an overdue transaction: it stays, or it is cancelled."""

import pytest

from keeper.core.chain import DataCost, Fees, next_base_fee
from keeper.core.plan import Purpose, Status
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.second_look import UNREAD, why
from tests.support.judged_overdue import GWEI, HEAD, PLAN, PRICE, SENT, USED, judged, rerun
from tests.support.ledger_records import plan


def test_what_leaves_its_least_profit_at_the_price_of_the_block_stays() -> None:
    enough = 7 + PRICE * USED
    assert judged(rerun(received=enough)) == (Purpose.LIQUIDATE, PRICE)
    assert judged(rerun(received=enough - 1))[0] is Purpose.CANCEL


def test_a_batch_keeps_the_least_profit_of_each_of_its_accounts() -> None:
    both = replace(PLAN, companions=(plan(2),))
    enough = 2 * 7 + PRICE * USED
    assert judged(rerun(received=enough), of=both)[0] is Purpose.LIQUIDATE
    assert judged(rerun(received=enough - 1), of=both)[0] is Purpose.CANCEL


def test_what_an_account_had_to_net_of_what_is_repaid_is_kept_too() -> None:
    """A share of that may be more than the least profit of all; the other has no more to net."""
    both = replace(PLAN, least_net=9, companions=(replace(plan(2), least_net=3),))
    enough = 9 + 7 + PRICE * USED
    assert judged(rerun(received=enough), of=both)[0] is Purpose.LIQUIDATE
    assert judged(rerun(received=enough - 1), of=both)[0] is Purpose.CANCEL


@pytest.mark.parametrize("data", [DataCost(wei=11), DataCost(gas=11)])
def test_what_a_rollup_charges_for_data_is_paid_for_too(data: DataCost) -> None:
    enough = 7 + PRICE * (USED + data.gas) + data.wei
    assert judged(rerun(received=enough), data=data) == (Purpose.LIQUIDATE, PRICE)
    assert judged(rerun(received=enough - 1), data=data)[0] is Purpose.CANCEL


def test_what_would_revert_or_was_not_run_again_is_cancelled() -> None:
    assert judged(rerun(success=False))[0] is Purpose.CANCEL
    assert judged(None)[0] is Purpose.CANCEL


def test_why_it_is_cancelled_is_said() -> None:
    flight = Flight()
    flight.took_off(PLAN, SENT)
    flying = flight.airborne[PLAN.id]
    assert why(flying, None) == "sending is halted"
    assert why(flying, rerun()) == "it would not pay any more"
    assert why(flying, rerun(success=False)) == "it would revert: no"
    assert why(flying, UNREAD) == "its deployment cannot read what it would do"
    undone = replace(flying, intent=replace(flying.intent, status=Status.UNDONE))
    assert why(undone, None) == "a reorg undid it, and its account has another intent by now"


def test_the_price_that_must_be_paid_for_is_the_blocks_or_its_own_maximum_the_lesser() -> None:
    low = replace(SENT, fees=Fees(max_fee=next_base_fee(HEAD) + 3, priority_fee=GWEI))
    enough = 7 + low.fees.max_fee * USED
    assert judged(rerun(received=enough), sent=low)[0] is Purpose.LIQUIDATE
    assert judged(rerun(received=enough - 1), sent=low)[0] is Purpose.CANCEL
