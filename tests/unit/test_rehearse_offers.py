"""An aggregator's offer goes on only if it is kept, and beats the plan over local pools."""

from collections.abc import Sequence

import pytest

from keeper.core.accounting import Waterfall
from keeper.core.chain import Simulated, Transaction, next_base_fee
from keeper.core.values import replace
from keeper.executor.rehearse import rehearse
from tests.support.ledger_records import account
from tests.support.rehearsal_node import (
    GAIN,
    GAS_USED,
    HEAD,
    ONE,
    PLANS,
    THREE,
    TWO,
    Node,
    decoders,
    done,
    failed,
    stage,
    succeed,
)


@pytest.mark.parametrize(
    "unmasked", [failed("reverted"), done(ONE, gain=GAIN // 2)], ids=["reverts", "brings less"]
)
async def test_an_offer_that_is_not_kept_gives_way_to_the_local_plan(unmasked: Simulated) -> None:
    offered = replace(TWO, id=ONE.id, local=ONE)

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        return unmasked if one == offered.transaction else done(PLANS[one])

    held, refused = await rehearse([offered, THREE], Node(answer), stage(), decoders())
    assert [one.transaction for one in held] == [ONE.transaction, THREE.transaction]
    assert refused == []


async def test_the_local_plan_is_sent_by_whom_the_offer_was_to_be_sent() -> None:
    other = account(78)
    offered = replace(TWO, id=ONE.id, local=ONE, transaction=replace(TWO.transaction, sender=other))

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        return failed("reverted") if one == offered.transaction else done(ONE)

    (held,), _ = await rehearse([offered], Node(answer), stage(), decoders())
    assert held.transaction == replace(ONE.transaction, sender=other)


async def test_an_offer_that_is_kept_goes_on_alone() -> None:
    offered = replace(ONE, local=TWO)
    (held,), _ = await rehearse([offered], Node(succeed), stage(), decoders())
    assert held.transaction == ONE.transaction
    assert held.local is None


LOCAL = Waterfall(
    penalty=GAIN, protocol_fee=0, swap_cost=0, flash_fee=0, gas=5, tip=0, net=GAIN - 5
)
OFFERED = replace(TWO, id=ONE.id, opportunity=ONE.opportunity, local=replace(ONE, forecast=LOCAL))
"""Beside a local plan whose gas is reckoned to be five wei."""
DEARER = GAS_USED * (next_base_fee(HEAD) + ONE.fees.priority_fee) - LOCAL.gas


@pytest.mark.parametrize(
    ("more", "is_kept"),
    [(0, False), (1, False), (DEARER - 1, False), (DEARER, True)],
    ids=["as much", "more, and more for gas", "a wei less in the end", "as much in the end"],
)
async def test_an_offer_must_bring_more_and_net_no_less_than_local_pools(
    more: int, *, is_kept: bool
) -> None:
    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        return done(ONE, gain=GAIN + more) if one == OFFERED.transaction else done(ONE)

    (held,), refused = await rehearse([OFFERED], Node(answer), stage(), decoders())
    assert (held.transaction == OFFERED.transaction) is is_kept
    assert (held.local, refused) == (None, [])


@pytest.mark.parametrize(("more", "is_kept"), [(0, False), (1, True)])
async def test_an_offer_that_brings_no_more_is_none_though_its_gas_is_less_than_was_reckoned(
    more: int, *, is_kept: bool
) -> None:
    dear = LOCAL.gas + DEARER + 7
    reckoned = replace(LOCAL, gas=dear, net=GAIN - dear)
    offered = replace(OFFERED, local=replace(ONE, forecast=reckoned))

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        return done(ONE, gain=GAIN + more) if one == OFFERED.transaction else done(ONE)

    (held,), _ = await rehearse([offered], Node(answer), stage(), decoders())
    assert (held.transaction == OFFERED.transaction) is is_kept
