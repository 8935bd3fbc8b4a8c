"""What is noted of others' liquidations when reads fail, when they are ours, and when many go."""

# ruff: noqa: ARG002 - the ports' arguments

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.rivals import Rivals
from keeper.app.sight import Look
from keeper.core.chain import BlockRef, Receipt
from keeper.core.errors import StaleError, TransientError
from keeper.core.lending import AccountRef, Liquidation
from keeper.core.plan import Purpose, Status
from keeper.core.taken import Cause, OurPart, Taken
from keeper.core.tick import Tick
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.mirror.snapshot import Snapshot
from tests.support.heard import Heard
from tests.support.ledger_records import VALUATION, hash32, plan, submission
from tests.unit.test_hindsight import BLOCK, RECEIPT, REF, liquidation

SENT = submission(plan(1))
CANCELLATION = replace(submission(plan(1), replacement=1), purpose=Purpose.CANCEL)
OURS = (SENT.tx_hash, CANCELLATION.tx_hash)
PART = OurPart(
    status=Status.SENT,
    net=7,
    target_block=100,
    priority_fee=1,
    attempts=(SENT, CANCELLATION),
)


@dataclass
class Books:
    """A journal that has signed some transactions, and holds what is noted."""

    signed: frozenset[Hash32] = frozenset()
    notes: list[Taken] = field(default_factory=list)
    gone: list[int | None] = field(default_factory=list)
    part: OurPart | None = None
    """What we had done about the account."""

    async def own(self, hashes):
        return self.signed & set(hashes)

    async def taken_before(self, deployment, hashes):
        return frozenset(one.tx_hash for one in self.notes) & set(hashes)

    async def our_part(self, deployment, ref, *, since, before):
        return self.part

    async def take_note(self, deployment, taken, *, gone_from):
        self.gone.append(gone_from)
        self.notes += taken


@dataclass(slots=True)
class Chain:
    """A node with one transaction, and a protocol whose logs are these liquidations."""

    liquidations: Sequence[Liquidation] = (liquidation(),)
    failing: int = 0
    late: int = 0
    """How often it has no receipt yet."""
    untold: int = 0
    """How often it does not tell the prices of the block."""
    stateless: int = 0
    """How often it does not tell the state of the block."""
    block_now: BlockRef = BLOCK
    deployment: str = "d"
    time: float = 0.0
    answers_in_s: float = 0.0
    ours: Mapping[Hash32, Receipt] = field(default_factory=dict)
    """Of transactions that we signed, where they landed."""

    def decode(self, market, logs):
        return tuple(self.liquidations)

    def touched(self, market, logs):
        return None

    async def read_market(self, reader, block, held, touched):
        if self.stateless:
            self.stateless -= 1
            raise StaleError("missing trie node")
        return held

    async def receipt(self, tx_hash):
        if tx_hash in OURS:
            return self.ours.get(tx_hash)
        if self.failing:
            self.failing -= 1
            raise TransientError("no answer")
        if self.late:
            self.late -= 1
            return None
        self.time += self.answers_in_s
        return replace(RECEIPT, tx_hash=tx_hash)

    async def block(self, number):
        return self.block_now

    async def at_block(self, block, ref):
        if self.untold:
            self.untold -= 1
            raise StaleError("missing trie node")
        return VALUATION


def rivals(chain: Chain, books: Books, heard: Heard) -> Rivals[Any, Any]:
    return Rivals(
        chain,
        chain,
        books,
        heard,
        told={},
        shown={},
        reader=chain,
        wire=chain,
        now=lambda: chain.time,
    )


def looked(ours: Rivals[Any, Any], number: int, *under: AccountRef, of_all: bool = True) -> None:
    """Have a look at a head find some accounts under the line, or nobody."""
    book: Any = SimpleNamespace(block=replace(BLOCK, number=number))
    opportunities = [SimpleNamespace(ref=one) for one in under]
    found: Any = SimpleNamespace(opportunities=opportunities, rejections=())
    ours.looked(Look(book=book, held_at=BLOCK, found=found, tick=Tick(), of_all=of_all))


def snapshot(
    number: int = 100, *, since: int | None = None, logs: bool = True
) -> Snapshot[Any, Any]:
    block = replace(BLOCK, number=number, hash=Hash32(f"0x{number:064x}"))
    return Snapshot(
        block=block,
        market=None,
        positions={},
        changed=frozenset(),
        since=number if since is None else since,
        logs=(liquidation().log,) if logs else (),
    )


async def test_what_cannot_be_read_now_is_read_at_a_later_head() -> None:
    chain, books, heard = Chain(failing=2), Books(), Heard()
    ours = rivals(chain, books, heard)
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    await ours.note(snapshot(), "")
    assert not books.notes
    await ours.note(snapshot(), "")
    assert [one.ref for one in books.notes] == [REF]
    assert heard.takens == books.notes
    assert not heard.skips


async def test_a_receipt_that_comes_late_is_waited_for() -> None:
    """Of nodes behind one address one may push the logs of a block that another has not yet."""
    chain, books, heard = Chain(late=2), Books(), Heard()
    ours = rivals(chain, books, heard)
    ours.hear(snapshot())
    for _ in range(3):
        await ours.note(snapshot(), "")
    assert [one.ref for one in books.notes] == [REF]
    assert not heard.skips


async def test_what_a_reorg_took_is_waited_for_no_longer() -> None:
    chain, books, heard = Chain(late=99), Books(), Heard()
    ours = rivals(chain, books, heard)
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    ours.hear(snapshot(101, since=100, logs=False))
    for _ in range(9):
        await ours.note(snapshot(101, logs=False), "")
    assert chain.late == 98
    assert not heard.skips


async def test_it_is_not_valued_at_another_block_of_that_number() -> None:
    chain, books = Chain(block_now=replace(BLOCK, hash=hash32(999))), Books()
    ours = rivals(chain, books, Heard())
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    assert not books.notes
    chain.block_now = BLOCK
    await ours.note(snapshot(), "")
    assert [one.block_hash for one in books.notes] == [BLOCK.hash]


@pytest.mark.parametrize(("untold", "is_told"), [(2, True), (99, False)])
async def test_prices_that_are_not_told_at_once_are_asked_for_again(
    untold: int, *, is_told: bool
) -> None:
    books, heard = Books(), Heard()
    ours = rivals(Chain(untold=untold), books, heard)
    ours.hear(snapshot())
    for _ in range(9):
        await ours.note(snapshot(), "")
    (found,) = books.notes
    assert (found.penalty is not None) is is_told
    assert not heard.skips


@pytest.mark.parametrize("stateless", [2, 99])
async def test_a_state_that_is_not_told_is_asked_for_again_and_at_last_not_waited_for(
    stateless: int,
) -> None:
    """In a long crash a node may have dropped it by the time that there is time to read."""
    books, heard = Books(), Heard()
    ours = rivals(Chain(stateless=stateless), books, heard)
    ours.hear(snapshot())
    for number in range(300, 309):
        await ours.note(snapshot(number), "")
    assert [one.repaid for one in books.notes] == [liquidation().repaid]
    assert not heard.skips


async def test_prices_of_before_the_start_that_are_not_told_are_not_waited_for() -> None:
    books = Books()
    ours = rivals(Chain(untold=1), books, Heard())
    ours.hear(before_the_start())
    await ours.note(snapshot(), "")
    assert [one.penalty for one in books.notes] == [None]


async def test_what_can_never_be_read_is_given_up_and_said() -> None:
    chain, books, heard = Chain(failing=99), Books(), Heard()
    ours = rivals(chain, books, heard)
    ours.hear(snapshot())
    for _ in range(9):
        await ours.note(snapshot(), "")
    assert chain.failing == 94
    assert not books.notes
    assert heard.skips == [f"{RECEIPT.tx_hash}: no answer"]


async def test_our_own_transactions_are_not_noted() -> None:
    chain, books, heard = Chain(), Books(signed=frozenset({RECEIPT.tx_hash})), Heard()
    ours = rivals(chain, books, heard)
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    assert not books.notes
    assert not heard.takens


@pytest.mark.parametrize(
    ("landed", "said"),
    [
        ({}, None),
        ({0: replace(RECEIPT, block_number=99, index=9)}, Status.LANDED),
        ({0: replace(RECEIPT, index=2)}, Status.LANDED),
        ({0: replace(RECEIPT, index=2, success=False)}, Status.REVERTED),
        ({1: replace(RECEIPT, block_number=99)}, Status.CANCELLED),
        ({0: replace(RECEIPT, index=4)}, None),
        ({0: replace(RECEIPT, block_number=101, index=0)}, None),
    ],
)
async def test_what_of_ours_had_ended_before_theirs_was_not_outrun(
    landed: Mapping[int, Receipt], said: Status | None
) -> None:
    """It waits for its confirmations, so that it is in no book yet."""
    chain = Chain(ours={OURS[at]: one for at, one in landed.items()})
    heard, books = Heard(), Books(part=PART)
    ours = rivals(chain, books, heard)
    looked(ours, 97, REF)
    looked(ours, 99, REF)
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    (found,) = books.notes
    if said is None:
        assert found.cause is Cause.OUTRUN
    else:
        ended = f"under the line since block 97, ours had ended by then: {said}"
        assert (found.cause, found.detail) == (Cause.LATE, ended)
    assert found.forecast_net == (None if said is Status.LANDED else PART.net)


async def test_the_gas_of_several_in_one_transaction_is_divided_to_the_wei() -> None:
    many = [replace(liquidation(), log=replace(liquidation().log, index=n)) for n in range(3)]
    books = Books()
    ours = rivals(Chain(liquidations=many), books, Heard())
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    cost = RECEIPT.gas_used * RECEIPT.effective_gas_price + RECEIPT.l1_fee
    assert len(books.notes) == 3
    assert sum(one.gas for one in books.notes) == cost


async def test_a_head_that_is_seen_again_is_heard_once() -> None:
    books = Books()
    ours = rivals(Chain(), books, Heard())
    ours.hear(snapshot())
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    await ours.note(snapshot(), "")
    assert len(books.notes) == 1


async def test_what_a_reorg_puts_into_a_block_of_the_same_number_is_told_once() -> None:
    books, heard = Books(), Heard()
    ours = rivals(Chain(), books, heard)
    ours.hear(snapshot())  # whose prices could not be read: its block was gone by then
    other = replace(snapshot().block, hash=hash32(7))
    ours.hear(replace(snapshot(), block=other))
    await ours.note(snapshot(), "")
    assert len(heard.takens) == len(books.notes) == 1


async def test_a_branch_that_is_gone_takes_its_notes_along() -> None:
    books = Books()
    ours = rivals(Chain(), books, Heard())
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    ours.hear(snapshot(101, since=99, logs=False))
    await ours.note(snapshot(), "")
    assert books.gone == [None, 99]
    ours.hear(snapshot(102, logs=False))
    await ours.note(snapshot(), "")
    assert len(books.gone) == 2


async def test_a_mirror_that_was_read_anew_takes_no_note_along() -> None:
    books = Books()
    ours = rivals(Chain(), books, Heard())
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    ours.hear(replace(snapshot(400, logs=False), since=None))
    await ours.note(snapshot(), "")
    assert books.gone == [None]
    assert len(books.notes) == 1


def before_the_start() -> Snapshot[Any, Any]:
    """A mirror that was resumed, with what was logged since its book."""
    return replace(snapshot(400), since=None)


async def test_what_was_taken_while_the_keeper_was_down_is_told_so() -> None:
    books = Books()
    ours = rivals(Chain(), books, Heard())
    ours.hear(before_the_start())
    await ours.note(snapshot(), "")
    assert [(one.ref, one.cause) for one in books.notes] == [(REF, Cause.DOWN)]


async def test_what_was_taken_in_a_block_that_was_passed_over_is_told_so() -> None:
    """As where the reads of a block failed, or several came at once."""
    books = Books()
    ours = rivals(Chain(), books, Heard())
    looked(ours, 97)
    looked(ours, 99, of_all=False)  # those alone that a price brought
    ours.hear(snapshot(101, since=98))
    looked(ours, 101)
    await ours.note(snapshot(101), "")
    (found,) = books.notes
    assert (found.cause, found.detail) == (
        Cause.UNSEEN,
        "all accounts were looked at last at block 97",
    )


async def test_what_was_noted_before_the_keeper_went_down_keeps_its_cause() -> None:
    books = Books()
    ours = rivals(Chain(), books, Heard())
    looked(ours, 99)
    ours.hear(snapshot())
    await ours.note(snapshot(), "")
    again = rivals(Chain(), books, Heard())
    again.hear(before_the_start())
    await again.note(snapshot(), "")
    assert [one.cause for one in books.notes] == [Cause.ONE_BLOCK]


async def test_what_was_taken_long_ago_is_read_a_little_with_each_head() -> None:
    many = [replace(liquidation(), tx_hash=hash32(n)) for n in range(10)]
    books = Books()
    asked: list[int] = []

    async def own(hashes: Sequence[Hash32]) -> frozenset[Hash32]:
        asked.append(len(hashes))
        return frozenset(hashes)

    books.own = own  # type: ignore[method-assign]
    ours = rivals(Chain(liquidations=many), books, Heard())
    ours.hear(before_the_start())
    for _ in range(5):
        await ours.note(snapshot(), "")
    assert asked == [4, 4, 2]


@dataclass(slots=True)
class Crash(Chain):
    """A block in which others liquidated by many transactions, each of one account."""

    def decode(self, market, logs):
        found = {log.tx_hash for log in logs}
        return tuple(one for one in self.liquidations if one.tx_hash in found)

    async def receipt(self, tx_hash):
        found = await Chain.receipt(self, tx_hash)
        own = tuple(one.log for one in self.liquidations if one.tx_hash == tx_hash)
        return replace(found, logs=own)


def crash(many: int, *, answers_in_s: float) -> tuple[Crash, Snapshot[Any, Any]]:
    one = liquidation()
    hashes = [hash32(n) for n in range(many)]
    logs = [replace(one.log, tx_hash=own, index=n) for n, own in enumerate(hashes)]
    all_ = [replace(one, tx_hash=log.tx_hash, log=log) for log in logs]
    chain = Crash(liquidations=all_, answers_in_s=answers_in_s)
    return chain, replace(snapshot(), logs=tuple(logs))


async def test_however_many_were_taken_in_a_crash_the_next_head_does_not_wait_for_all() -> None:
    (chain, brought), books = crash(40, answers_in_s=0.04), Books()
    ours = rivals(chain, books, Heard())
    ours.hear(brought)
    waits = []
    for _ in range(40):
        before = chain.time
        await ours.note(brought, "")
        waits.append(chain.time - before)
    assert max(waits) < 0.2
    assert [one.tx_hash for one in books.notes] == [hash32(n) for n in range(40)]


async def test_what_is_read_later_is_told_with_the_move_that_it_came_with() -> None:
    (chain, brought), books = crash(8, answers_in_s=1.0), Books()
    ours = rivals(chain, books, Heard())
    looked(ours, 99)
    ours.hear(brought)
    for moved in ("WETH -9 %", *(7 * ["WETH +1 %"])):
        await ours.note(brought, moved)
    assert len(books.notes) == 8
    assert {one.detail.partition("; ")[2] for one in books.notes} == {"the last move: WETH -9 %"}
