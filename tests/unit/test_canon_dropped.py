"""What was given up is watched for until it cannot land any more."""

from typing import Any, cast

import pytest

from keeper.core.plan import Status
from keeper.core.values import replace
from keeper.executor.flight import Flight
from tests.support.canon_chain import (
    DEPTH,
    INTENT,
    OTHER,
    PLAN,
    Chain,
    given_up,
    in_block,
    on_chain,
)
from tests.support.ledger_records import block, hash32
from tests.support.signed_plans import signed


async def test_what_landed_after_it_was_given_up_is_in_the_books() -> None:
    gone = replace(in_block(101, status=Status.DROPPED), block=None, block_hash=None)
    submission = INTENT.submission
    assert submission is not None
    recent = replace(INTENT, submission=replace(submission, target_block=101))
    found = {PLAN.id: on_chain(INTENT, 102)}
    chain = Chain([replace(gone, intent=recent)], found=found, used=submission.nonce + 1)
    assert [one.status for one in await chain.review(105)] == [Status.LANDED]


async def test_what_was_given_up_and_is_nowhere_stays_given_up() -> None:
    chain = Chain([in_block(101, status=Status.DROPPED)], hashes={101: hash32(7)})
    assert await chain.review(105) == []
    assert (chain.revised, chain.reopened) == ([], [])


async def test_what_was_dropped_is_watched_for_as_long_as_its_nonce_is_free() -> None:
    chain = Chain([given_up()], used=5)
    canon, settler = chain.canon(), cast("Any", chain)
    for number in (105, 300):
        await canon.review(block(number), settler)
    assert (chain.asked, chain.final) == ([], [])
    chain.used, chain.found = 6, {PLAN.id: on_chain(INTENT, 301)}
    (found,) = await canon.review(block(301), settler)
    assert found.block == 301


@pytest.mark.parametrize(("number", "is_final"), [(105 + DEPTH, False), (106 + DEPTH, True)])
async def test_what_was_dropped_is_final_when_the_use_of_its_nonce_is(
    number: int, *, is_final: bool
) -> None:
    chain = Chain([given_up()], used=6)
    canon, settler = chain.canon(), cast("Any", chain)
    await canon.review(block(105), settler)
    assert chain.final == []
    await canon.review(block(number), settler)
    assert chain.final == ([PLAN.id] if is_final else [])


async def test_what_was_dropped_is_not_final_where_a_reorg_may_have_freed_its_nonce() -> None:
    chain = Chain([given_up()], used=6)
    canon, settler = chain.canon(), cast("Any", chain)
    await canon.review(block(105), settler)
    chain.hashes = {105: hash32(7)}
    await canon.review(block(116), settler)
    assert chain.final == []
    chain.untold_blocks = {117}
    for number in (117, 117 + DEPTH + 1):
        await canon.review(block(number), settler)
    assert chain.final == []
    chain.untold_blocks = set()
    await canon.review(block(118 + DEPTH + 1), settler)
    assert chain.final == [PLAN.id]


@pytest.mark.parametrize(
    ("used", "open_nonces", "is_opened"),
    [(5, [6], True), (5, [], False), (5, [4], False), (5, [5, 6], False), (6, [6], False)],
)
async def test_what_was_dropped_is_open_again_where_it_leaves_a_gap(
    used: int, open_nonces: list[int], *, is_opened: bool
) -> None:
    flying = [
        replace(INTENT, plan_id=str(nonce), status=Status.SENT, submission=signed(OTHER, nonce))
        for nonce in open_nonces
    ]
    chain = Chain([given_up()], used=used, flight=Flight(flying))
    await chain.review(105)
    assert chain.reopened == ([PLAN.id] if is_opened else [])
    assert (PLAN.id in chain.flight.airborne) is is_opened
