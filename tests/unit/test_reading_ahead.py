"""What is read ahead for a price decides nothing: what fails is read again by who needs it."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.reading_ahead import ReadingAhead
from keeper.core.errors import InvariantError, StaleError
from keeper.core.lending import AccountRef
from tests.support.ledger_records import block, plan

REF = plan().ref
OPTIONS = (plan().option,)


@dataclass
class Asked:
    """Remembers what was read, or fails."""

    error: Exception | None = None
    reads: list[object] = field(default_factory=list)

    async def make_ready(self, options: object, at: object) -> None:
        self._note(("pools", options, at))

    async def exposure(self, at: object) -> None:
        self._note(("spent", at))

    async def ready(self, at: object) -> None:
        self._note(("spent and chain", at))

    async def check_ahead(self, refs: list[AccountRef]) -> None:
        self._note(("accounts", *refs))

    async def value_ahead(self, refs: list[AccountRef], at: object) -> None:
        self._note(("values", *refs, at))

    def _note(self, read: object) -> None:
        self.reads.append(read)
        if self.error is not None:
            raise self.error


def ahead_of(all_of_it: Asked, executor: object = None) -> ReadingAhead[Any, Any]:
    asked: Any = all_of_it
    ready = SimpleNamespace(make_ready=asked.ready, exposure=asked.exposure)
    spent: Any = executor or ready
    return ReadingAhead(asked, spent, asked, SimpleNamespace(make_ready=asked.value_ahead))


async def test_pools_budgets_the_chain_id_accounts_and_prices_are_read_at_once() -> None:
    asked = Asked()
    ahead = ahead_of(asked)
    ahead.begin(block(7), OPTIONS, [REF])
    await ahead.done()
    assert asked.reads == [
        ("pools", OPTIONS, block(7)),
        ("spent and chain", block(7)),
        ("accounts", REF),
        ("values", REF, block(7)),
    ]


async def test_which_chain_it_is_is_not_asked_for_nobody() -> None:
    asked = Asked()
    ahead = ahead_of(asked)
    ahead.begin(block(7), (), [])
    await ahead.done()
    assert asked.reads[1] == ("spent", block(7))


async def test_a_block_is_read_ahead_once_whether_its_price_or_its_look_comes_first() -> None:
    asked = Asked()
    ahead = ahead_of(asked)
    ahead.begin(block(7), OPTIONS, [REF])
    ahead.begin(block(7), (), [])
    await ahead.done()
    assert len(asked.reads) == 4
    ahead.begin(block(8), (), [])
    await ahead.done()
    assert len(asked.reads) == 8


async def test_reads_that_failed_hold_nobody_up() -> None:
    asked = Asked(error=StaleError("gone"))
    ahead = ahead_of(asked)
    ahead.begin(block(7), OPTIONS, [REF])
    await ahead.done()
    assert len(asked.reads) == 4


async def test_a_journal_that_failed_is_not_passed_over() -> None:
    broken = Asked(error=InvariantError("no disk"))
    ahead = ahead_of(Asked(), SimpleNamespace(make_ready=broken.ready))
    ahead.begin(block(7), OPTIONS, [REF])
    with pytest.raises(InvariantError, match="no disk"):
        await ahead.done()


async def test_everything_has_gone_out_before_whoever_began_it_goes_on() -> None:
    out, answer = list[str](), asyncio.Event()

    async def question(of: str) -> None:
        out.append(of)
        await answer.wait()

    async def pools(*_: object) -> None:  # as a planner asks its venues, and lenders theirs
        await asyncio.gather(asyncio.gather(question("pool")), asyncio.gather(lenders()))

    async def lenders() -> None:
        await asyncio.gather(question("lender"))

    async def spent(_: object) -> None:
        await asyncio.shield(asyncio.ensure_future(question("budget")))

    async def accounts(_: object) -> None:
        await question("account")

    async def prices(*_: object) -> None:
        await question("price")

    node: Any = SimpleNamespace(make_ready=pools, check_ahead=accounts)
    executor: Any = SimpleNamespace(make_ready=spent)
    valued: Any = SimpleNamespace(make_ready=prices)
    ahead: ReadingAhead[Any, Any] = ReadingAhead(node, executor, node, valued)
    ahead.begin(block(7), OPTIONS, [REF])
    assert out == []
    await ahead.asked()
    assert sorted(out) == ["account", "budget", "lender", "pool", "price"]
    answer.set()
    await ahead.done()


async def test_there_is_nothing_to_wait_for_where_nothing_was_begun() -> None:
    await ahead_of(Asked()).done()


class Hearing:
    """An executor that hears of heads."""

    def __init__(self) -> None:
        self.newest: object = None
        self.heads: asyncio.Queue[Any] = asyncio.Queue()

    async def heard(self, block_hash: object) -> object:
        while (head := await self.heads.get()).hash != block_hash:
            pass
        return head


async def head_of(executor: Hearing, reading: "asyncio.Future[object]") -> object:
    return await ahead_of(Asked(), executor).head_of(block(7).hash, reading)


async def test_the_head_that_is_known_is_not_waited_for() -> None:
    executor, reading = Hearing(), asyncio.get_running_loop().create_future()
    executor.newest = block(7)
    assert await head_of(executor, reading) == block(7)


async def test_a_head_that_is_heard_while_it_is_read_is_taken() -> None:
    executor, reading = Hearing(), asyncio.get_running_loop().create_future()
    executor.newest = block(6)
    found = asyncio.ensure_future(head_of(executor, reading))
    await asyncio.sleep(0)
    executor.heads.put_nowait(block(8))
    executor.heads.put_nowait(block(7))
    assert await found == block(7)


async def test_a_block_that_is_read_before_it_is_heard_of_is_not_waited_for() -> None:
    executor, reading = Hearing(), asyncio.get_running_loop().create_future()
    found = asyncio.ensure_future(head_of(executor, reading))
    await asyncio.sleep(0)
    reading.set_result(None)
    assert await found is None


async def test_what_could_not_be_read_is_said_by_who_reads_it() -> None:
    executor, reading = Hearing(), asyncio.get_running_loop().create_future()
    reading.set_exception(StaleError("gone"))
    assert await head_of(executor, reading) is None
    with pytest.raises(StaleError, match="gone"):
        await reading


async def test_accounts_that_are_known_later_are_read_when_they_are() -> None:
    asked = Asked()
    ahead = ahead_of(asked)
    ahead.begin(block(7), (), [])
    ahead.begin(block(7), OPTIONS, [REF])
    ahead.begin(block(7), OPTIONS, [REF])
    await ahead.done()
    assert [read for read in asked.reads if isinstance(read, tuple) and read[0] == "accounts"] == [
        ("accounts",),
        ("accounts", REF),
    ]
