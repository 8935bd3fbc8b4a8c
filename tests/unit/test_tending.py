"""What a node that has not the newest transaction of an intent has done with it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import Fees
from keeper.core.plan import Submission
from keeper.executor.flight import Flight
from keeper.executor.tending import Patience, Tender
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import OPERATOR, hash32, plan, submission

PLAN = plan()
FIRST = replace(submission(PLAN), fees=Fees(max_fee=100, priority_fee=10))
RAISED = replace(FIRST, tx_hash=hash32(0xBEEF), fees=Fees(max_fee=110, priority_fee=11))


async def is_lost(*known: Submission, base_fee: int = 50, public: bool = True) -> bool:
    """Return whether the same bytes go again, where the node holds these of two transactions."""
    flight = Flight()
    flight.took_off(PLAN, FIRST)
    flight.replaced(RAISED)
    means: Any = SimpleNamespace(
        wire=FakeWire(pending={one.tx_hash for one in known}),
        lane=SimpleNamespace(public=public),
        desk=SimpleNamespace(address=OPERATOR),
        limits=SimpleNamespace(min_balance=0),
        simulator=None,
        auditor_of=None,
        on_stuck=None,
        overrides={},
    )
    patience = Patience(replace_after_blocks=0, block_time_s=12, halt_on_foreign_nonce=True)
    nobody: Any = None
    tender = Tender(means, patience, nobody, on_settled=lambda *_: None)
    return await tender._lost(RAISED, flight.airborne[PLAN.id], base_fee)


async def test_what_the_node_has_not_at_all_is_sent_again_as_it_is() -> None:
    assert await is_lost()


@pytest.mark.parametrize("known", [(RAISED,), (FIRST,), (FIRST, RAISED)])
async def test_where_the_node_has_one_of_the_nonce_the_next_rung_is_due(
    known: tuple[Submission, ...],
) -> None:
    # With the first alone it refused the newest: as too little over that.
    assert not await is_lost(*known)


async def test_what_the_base_fee_has_left_behind_is_not_sent_again() -> None:
    assert await is_lost(base_fee=110)
    assert not await is_lost(base_fee=111)
    assert await is_lost(FIRST, base_fee=110, public=False)
    assert not await is_lost(base_fee=111, public=False)
