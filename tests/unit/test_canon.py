"""Outcomes follow the canonical chain until they are final, and are open again for all at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from keeper.core.chain import BlockRef, Transaction
from keeper.core.errors import RefusedError, StaleError
from keeper.core.plan import Intent, Outcome, Settled, Status
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.canon import GONE, Canon
from keeper.executor.flight import Flight
from tests.support.ledger_records import EXECUTOR, block, hash32, landed, plan
from tests.support.signed_plans import SIGNER, signed

PLAN = replace(plan(1), transaction=Transaction(sender=SIGNER.address, to=EXECUTOR, data=b"\x01"))
INTENT = Intent(
    plan_id=PLAN.id,
    deployment=PLAN.deployment,
    ref=PLAN.ref,
    status=Status.LANDED,
    tip=PLAN.tip,
    deadline=PLAN.deadline,
    submission=signed(PLAN, 5),
)
UNDONE = Settled(intent=INTENT, outcome_status=Status.LANDED, block=101, block_hash=hash32(0xDEAD))
KEY = (PLAN.ref.market, PLAN.ref.account)


@dataclass(slots=True)
class Books:
    """A journal of one outcome that waits, amid opening it anew, until a test lets it go on."""

    free: bool = True
    """Whether nothing has taken its nonce."""
    status: Status = Status.SENT
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    revised: list[Any] = field(default_factory=list)

    async def unfinal(self) -> list[Settled]:
        return [UNDONE]

    async def reopen(self, _plan_id: str) -> Status | None:
        self.asked.set()
        await self.go_on.wait()
        return self.status if self.free else None

    async def revise(self, outcome: Any) -> None:
        self.revised.append(outcome)


class NothingOnChain:
    async def outcome_on_chain(self, _intent: Intent) -> None:
        return None


def reviewed(books: Any, flight: Flight) -> "asyncio.Task[Any]":
    settler: Any = NothingOnChain()
    reader: Any = None
    canon = Canon(journal=books, reader=reader, flight=flight, depth=64)
    return asyncio.create_task(canon.review(block(101), settler))


async def test_it_waits_for_who_is_just_sending() -> None:
    books, flight = Books(), Flight()
    async with flight.numbered():
        reviewing = reviewed(books, flight)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not books.asked.is_set()
        assert KEY not in flight.busy
    books.go_on.set()
    await reviewing
    assert KEY in flight.busy


@pytest.mark.parametrize("free", [True, False])
async def test_nothing_is_sent_between_the_journal_and_the_flight(*, free: bool) -> None:
    books, flight = Books(free=free), Flight()
    reviewing = reviewed(books, flight)
    await books.asked.wait()
    assert flight.numbering
    books.go_on.set()
    await reviewing
    assert not flight.numbering
    assert (KEY in flight.busy) is free
    assert bool(books.revised) is not free


DEPTH = 10
OTHER = replace(plan(2), transaction=PLAN.transaction)


def intent_of(number: int) -> Intent:
    if number == 1:
        return INTENT
    return replace(INTENT, plan_id=OTHER.id, ref=OTHER.ref, submission=signed(OTHER, 6))


def in_block(number: int, *, intent: Intent = INTENT, status: Status = Status.LANDED) -> Settled:
    return Settled(
        intent=intent, outcome_status=status, block=number, block_hash=block(number).hash
    )


def on_chain(intent: Intent, number: int) -> Outcome:
    assert intent.submission is not None
    outcome = landed(PLAN, intent.submission)
    return replace(outcome, plan_id=intent.plan_id, block=number, block_hash=block(number).hash)


@dataclass(slots=True)
class Chain:
    """Journal, reads and receipts by hand: of what was settled, and what the chain says of it."""

    settled: list[Settled]
    found: dict[str, Outcome] = field(default_factory=dict)
    """What is on the canonical chain, by plan."""
    untold_blocks: set[int] = field(default_factory=set)
    disputed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    stuck_of: list[str] = field(default_factory=list)
    hashes: dict[int, Hash32] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    loads: int = 0
    used: int = 0
    is_nonce_untold: bool = False
    final: list[str] = field(default_factory=list)
    revised: list[Outcome] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    flight: Flight = field(default_factory=Flight)
    told: list[Outcome] = field(default_factory=list)

    async def unfinal(self) -> list[Settled]:
        self.loads += 1
        return self.settled

    async def finish(self, plan_ids: Sequence[str]) -> None:
        self.final += plan_ids

    async def reopen(self, plan_id: str) -> Status | None:
        self.reopened.append(plan_id)
        return Status.SENT

    async def revise(self, outcome: Outcome) -> None:
        self.revised.append(outcome)

    async def block(self, number: int) -> BlockRef:
        if number in self.untold_blocks:
            raise StaleError("told otherwise")
        return replace(block(number), hash=self.hashes.get(number, block(number).hash))

    async def outcome_on_chain(self, intent: Intent) -> Outcome | None:
        self.asked.append(intent.plan_id)
        if intent.plan_id in self.unreadable:
            raise KeyError(intent.plan_id)
        if intent.plan_id in self.disputed:
            raise StaleError("told otherwise")
        if intent.plan_id in self.refused:
            raise RefusedError("pruned")
        return self.found.get(intent.plan_id)

    async def nonce(self, _address: str, _block: BlockRef) -> int:
        if self.is_nonce_untold:
            raise StaleError("told otherwise")
        return self.used

    def stuck(self, intent: Intent, error: Exception) -> None:
        assert isinstance(error, KeyError)
        self.stuck_of.append(intent.plan_id)

    def canon(self) -> Canon:
        journal: Any = self
        reader: Any = self
        return Canon(
            journal=journal,
            reader=reader,
            flight=self.flight,
            depth=DEPTH,
            on_corrected=self.told.append,
        )

    async def review(self, number: int) -> list[Outcome]:
        settler: Any = self
        return await self.canon().review(block(number), settler)


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


def given_up() -> Settled:
    submission = INTENT.submission
    assert submission is not None
    late = replace(INTENT, submission=replace(submission, target_block=80))
    return Settled(intent=late, outcome_status=Status.DROPPED, block=None, block_hash=None)


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


async def test_a_nonce_that_nodes_tell_otherwise_holds_up_no_other() -> None:
    chain = Chain([given_up(), in_block(94, intent=intent_of(2))], is_nonce_untold=True)
    await chain.review(105)
    assert (chain.asked, chain.final) == ([], [OTHER.id])


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


@pytest.mark.parametrize("untold", ["disputed", "refused"])
async def test_what_could_not_be_looked_at_is_not_final(untold: str) -> None:
    chain = Chain([in_block(80)], hashes={80: hash32(7)}, **{untold: {PLAN.id}})
    await chain.review(105)
    assert (chain.final, chain.stuck_of) == ([], [])


async def test_an_intent_whose_account_has_another_is_in_flight_to_be_cancelled() -> None:
    flight, books = Flight(), Books(status=Status.UNDONE)
    books.go_on.set()
    assert await reviewed(books, flight) == []
    (one,) = flight.airborne.values()
    assert one.cancelled
    assert flight.held(SIGNER.address) == {5}
    assert flight.transactions() == ()


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


async def test_what_a_reorg_undid_twice_over_is_given_up() -> None:
    flight = Flight()
    books = Books(free=False)
    books.go_on.set()
    (gone,) = await reviewed(books, flight)
    assert (gone.status, gone.detail) == (Status.DROPPED, GONE)


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
