"""Outcomes follow the canonical chain until they are final."""

from typing import Any, cast

import pytest

from keeper.core.errors import TransientError
from keeper.core.plan import Intent
from keeper.core.values import replace
from tests.support.canon_chain import INTENT, OTHER, PLAN, Chain, given_up, in_block, on_chain
from tests.support.ledger_records import block, hash32
from tests.support.signed_plans import signed


def intent_of(number: int) -> Intent:
    if number == 1:
        return INTENT
    return replace(INTENT, plan_id=OTHER.id, ref=OTHER.ref, submission=signed(OTHER, 6))


async def test_what_its_block_still_has_is_not_looked_up() -> None:
    chain = Chain([in_block(101)])
    assert await chain.review(105) == []
    assert (chain.asked, chain.revised, chain.reopened) == ([], [], [])


async def test_the_head_is_known_without_asking() -> None:
    chain = Chain([in_block(105)], untold_blocks={105})
    assert await chain.review(105) == []
    assert chain.asked == []


@pytest.mark.parametrize("number", [106, 200])
async def test_a_block_beyond_the_head_is_gone(number: int) -> None:
    chain = Chain([in_block(number)])
    await chain.review(105)
    assert chain.reopened == [PLAN.id]


async def test_what_landed_in_another_block_is_corrected() -> None:
    chain = Chain([in_block(101)], hashes={101: hash32(7)}, found={PLAN.id: on_chain(INTENT, 102)})
    assert [one.block for one in await chain.review(105)] == [102]
    assert [one.block for one in chain.revised] == [102]
    assert chain.told == chain.revised
    assert chain.reopened == []


@pytest.mark.parametrize(("number", "is_final"), [(95, False), (94, True)])
async def test_what_is_true_and_deep_enough_is_final(number: int, *, is_final: bool) -> None:
    chain = Chain([in_block(number)])
    canon, settler = chain.canon(), cast("Any", chain)
    await canon.review(block(105), settler)
    assert chain.final == ([PLAN.id] if is_final else [])
    chain.hashes = {number: hash32(7)}
    await canon.review(block(106), settler)
    assert (chain.reopened == []) is is_final


@pytest.mark.parametrize("number", [94, 1])
async def test_what_nobody_looked_at_in_time_is_looked_at_however_deep_it_is(number: int) -> None:
    chain = Chain([in_block(number)], hashes={number: hash32(7)})
    await chain.review(105)
    assert chain.reopened == [PLAN.id]
    assert chain.final == []


async def test_a_nonce_that_nodes_tell_otherwise_holds_up_no_other() -> None:
    chain = Chain([given_up(), in_block(94, intent=intent_of(2))], is_nonce_untold=True)
    await chain.review(105)
    assert (chain.asked, chain.final) == ([], [OTHER.id])


@pytest.mark.parametrize("untold", ["disputed", "refused"])
async def test_what_could_not_be_looked_at_is_not_final(untold: str) -> None:
    chain = Chain([in_block(80)], hashes={80: hash32(7)}, **{untold: {PLAN.id}})
    await chain.review(105)
    assert (chain.final, chain.stuck_of) == ([], [])


async def test_a_block_that_could_not_be_told_corrects_nothing() -> None:
    chain = Chain([in_block(101)], untold_blocks={101}, found={PLAN.id: on_chain(INTENT, 101)})
    assert await chain.review(105) == []
    assert (chain.revised, chain.reopened) == ([], [])


async def test_an_outcome_that_nodes_tell_otherwise_stands_and_holds_up_no_other() -> None:
    other = intent_of(2)
    chain = Chain(
        [in_block(101), in_block(101, intent=other)],
        hashes={101: hash32(7)},
        disputed={PLAN.id},
        found={other.plan_id: on_chain(other, 102)},
    )
    assert [one.plan_id for one in await chain.review(105)] == [other.plan_id]
    assert chain.reopened == []


async def test_what_is_corrected_is_told_though_the_node_goes_away_at_the_next() -> None:
    other = intent_of(2)
    chain = Chain(
        [in_block(101), in_block(101, intent=other)],
        hashes={101: hash32(7)},
        found={PLAN.id: on_chain(INTENT, 102), other.plan_id: on_chain(other, 102)},
        away={other.plan_id},
    )
    canon, settler = chain.canon(), cast("Any", chain)
    with pytest.raises(TransientError):
        await canon.review(block(105), settler)
    assert [one.plan_id for one in chain.revised] == [PLAN.id]
    chain.away.clear()
    told = [one.plan_id for one in await canon.review(block(106), settler)]
    assert told == [PLAN.id, other.plan_id]
    assert await canon.review(block(107), settler) == []


async def test_what_its_deployment_cannot_read_holds_up_no_other() -> None:
    other = replace(INTENT, plan_id="other")
    chain = Chain(
        [in_block(101), in_block(101, intent=other)],
        hashes={101: hash32(7)},
        unreadable={PLAN.id},
        found={other.plan_id: on_chain(other, 102)},
    )
    assert [one.plan_id for one in await chain.review(105)] == [other.plan_id]
    assert (chain.stuck_of, chain.reopened) == ([PLAN.id], [])


async def test_an_outcome_of_this_run_is_watched_like_those_before_it() -> None:
    chain, other = Chain([]), intent_of(2)
    canon = chain.canon()
    settler: Any = chain
    canon.note(INTENT, on_chain(INTENT, 101))  # before anything was loaded: the journal has it
    assert await canon.review(block(103), settler) == []
    canon.note(other, on_chain(other, 102))
    canon.note(replace(INTENT, submission=None), on_chain(INTENT, 102))  # nothing of it ever ran
    chain.hashes = {102: hash32(7)}
    await canon.review(block(105), settler)
    assert chain.asked == chain.reopened == [other.plan_id]
    assert chain.loads == 1
