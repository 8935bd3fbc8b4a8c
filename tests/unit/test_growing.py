"""Which prices are asked for one block ahead, and what becomes of the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from keeper.app.growing import Growing
from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction
from keeper.core.errors import KeeperError, RefusedError, StaleError, TransientError
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.words import ask_address
from keeper.oracle.asking_ahead import asked
from keeper.oracle.book import PriceBook
from keeper.oracle.multiples import Multiples
from keeper.oracle.policy import NO_POLICY
from keeper.oracle.stand_in import StandIns
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.compound_v2 import codec
from tests.support.lending_desk import BLOCK
from tests.support.scripted_reader import ScriptedReader, words

ORACLE = Address("0x" + "0a" * 20)
VAULT, PLAIN = Address("0x" + "01" * 20), Address("0x" + "02" * 20)
PRICE = 10**18
NEXT_S = 3


def feed_of(token: Address, *, moves_by_time: bool) -> Feed:
    return Feed(
        id=token,
        label=token[-2:],
        read=ask_address(ORACLE, codec.GET_UNDERLYING_PRICE, token),
        source=ORACLE,
        direct=False,
        moves_by_time=moves_by_time,
    )


FEEDS = (feed_of(VAULT, moves_by_time=True), feed_of(PLAIN, moves_by_time=False))


@dataclass(slots=True)
class NextBlock:
    """A node that says what both feeds will be, or fails; it keeps what it was asked."""

    value: int = PRICE + 3
    failure: KeeperError | None = None
    asked: list[tuple[bytes, int, int]] = field(default_factory=list)

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        del base_fee, overrides
        self.asked += [(one.data, base.number, timestamp) for one in transactions]
        if self.failure is not None:
            raise self.failure
        answer = Simulated(
            success=True, gas_used=0, logs=(), return_data=words(self.value), error=""
        )
        return [answer] * len(transactions)


class Stage:
    """Both feeds at one head after the other."""

    def __init__(self, node: NextBlock) -> None:
        self.reader = ScriptedReader(answers={})
        self.watcher = PriceWatcher(cast("Reader", self.reader), NO_POLICY)
        reader = cast("Reader", self.reader)
        multiples = Multiples(self.watcher, node, StandIns(reader))
        self.growing = Growing(self.watcher, node, multiples, block_time_s=NEXT_S)
        self.head = BLOCK.number
        self.book: PriceBook | None = None

    async def see(self, value: int, *, blocks: int = 1) -> dict[Address, int]:
        """Return what the block after the next head will have, where both are ``value`` there."""
        if self.book is None:
            await self.watcher.follow(FEEDS, BLOCK)
        self.head += blocks
        self.reader.answers = {(one.read.to, one.read.data): words(value) for one in FEEDS}
        block = replace(BLOCK, number=self.head)
        self.book, ahead = await self.growing.read(block, self.book)
        assert {price.value for price in self.book.prices.values()} == {value}
        return {token: ahead.prices[token].value for token in (VAULT, PLAIN)}


async def test_a_price_that_was_not_seen_to_move_is_not_asked_for() -> None:
    node = NextBlock()
    stage = Stage(node)
    for _ in range(3):
        assert await stage.see(PRICE) == {VAULT: PRICE, PLAIN: PRICE}
    assert node.asked == []


async def test_one_that_moved_is_asked_for_as_of_the_block_after_each_head() -> None:
    node = NextBlock(value=PRICE + 3)
    stage = Stage(node)
    await stage.see(PRICE)
    assert await stage.see(PRICE + 1) == {VAULT: PRICE + 1, PLAIN: PRICE + 1}
    assert node.asked == []
    assert await stage.see(PRICE + 2) == {VAULT: PRICE + 3, PLAIN: PRICE + 2}
    assert node.asked == [(FEEDS[0].read.data, stage.head, BLOCK.timestamp + NEXT_S)]


@pytest.mark.parametrize("failure", [TransientError("no answer"), StaleError("state is gone")])
async def test_a_node_that_does_not_answer_leaves_the_prices_of_the_head(
    failure: KeeperError,
) -> None:
    stage = Stage(NextBlock(failure=failure))
    for value in (PRICE, PRICE + 1, PRICE + 2):
        assert await stage.see(value) == {VAULT: value, PLAIN: value}


async def test_a_leap_is_left_to_the_guards() -> None:
    node = NextBlock(value=PRICE * 1_002 // 1_000)
    stage = Stage(node)
    for value in (PRICE, PRICE + 1, PRICE + 2):
        assert await stage.see(value) == {VAULT: value, PLAIN: value}
    assert len(node.asked) == 1


async def test_one_that_stands_still_for_long_is_asked_for_no_more() -> None:
    node = NextBlock()
    stage = Stage(node)
    for value in (PRICE, PRICE + 1):
        await stage.see(value)
    await stage.see(PRICE + 1, blocks=64)
    assert len(node.asked) == 1
    await stage.see(PRICE + 1)
    assert len(node.asked) == 1


@dataclass(slots=True)
class Geth(NextBlock):
    """Refuses to tell of a block in which others come after one that takes all the gas."""

    eater: Address = PLAIN

    async def simulate(
        self, transactions: Sequence[Transaction], **setting: Any
    ) -> list[Simulated]:
        eaten = [one.data.endswith(bytes.fromhex(self.eater[2:])) for one in transactions]
        if any(eaten[:-1]):
            raise RefusedError("gas limit reached")
        found = await NextBlock.simulate(self, transactions, **setting)
        return [
            replace(one, success=False) if took else one
            for one, took in zip(found, eaten, strict=True)
        ]


@pytest.mark.parametrize("eater", [VAULT, PLAIN])
async def test_one_that_takes_all_the_gas_hides_no_other(eater: Address) -> None:
    found = await asked(Geth(eater=eater), FEEDS, BLOCK, BLOCK.timestamp + NEXT_S)
    assert found == {one.id: PRICE + 3 for one in FEEDS if one.id != eater}


async def test_of_a_node_that_refuses_nothing_is_told() -> None:
    node = NextBlock(failure=RefusedError("no such method"))
    assert await asked(node, FEEDS, BLOCK, BLOCK.timestamp + NEXT_S) == {}
