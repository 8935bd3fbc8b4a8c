"""Prices that time alone moves are those of the target block; no other price is asked for again."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec import field

from keeper.app.aiming import Aim
from keeper.app.sight import Look
from keeper.core.chain import Simulated, StateOverride, Transaction
from keeper.core.lending import AccountRef, Price
from keeper.core.tick import Tick
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.scanner.scan import Book, scan
from tests.support.lending_desk import BLOCK
from tests.support.morpho_market import ALICE, MARKETS, MORPHO, account, deployment

FIRST = MARKETS[0]
NEXT_S = BLOCK.timestamp + 12
PORT = MorphoAdapter(
    deployment="morpho_blue.local", start_block=1, parameters=Parameters(morpho=MORPHO)
)


class ToldSimulator:
    """Answers every call with one word, and keeps what it was asked."""

    def __init__(self, word: int | None = None) -> None:
        self.word = word
        self.asked: list[tuple[Address, int]] = []

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: object,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        del base_fee, overrides
        assert base == BLOCK
        self.asked += [(one.to, timestamp) for one in transactions]
        data = b"" if self.word is None else self.word.to_bytes(32)
        answer = Simulated(
            success=self.word is not None, gas_used=0, logs=(), return_data=data, error=""
        )
        return [answer] * len(transactions)


def look_at(*, moves_by_time: bool) -> Look:
    """Return a look at one account just under the line."""
    first = replace(FIRST, moves_by_time=moves_by_time, updated=BLOCK.timestamp)
    market = replace(deployment(markets=(first, *MARKETS[1:]), early=()), timestamp=BLOCK.timestamp)
    ref = AccountRef(market=FIRST.id, account=ALICE)
    prices = {
        oracle: Price(value=value, block=BLOCK.number, updated_at=BLOCK.timestamp)
        for oracle, value in market.prices.items()
    }
    book = Book(
        block=BLOCK,
        market=market,
        positions={ref: account(deployment(), FIRST.id, ltv_bps=8_601)},
        prices=prices,
        problems={},
    )
    found = scan(PORT, book, number=BLOCK.number + 1, timestamp=NEXT_S, trigger="a test")
    assert len(found.opportunities) == 1
    return Look(book=book, held_at=book.block, found=found, tick=Tick())


def priced(look: Look, bps: int) -> int:
    """Return the market's price moved by hundredths of a basis point."""
    now = look.book.prices[FIRST.params.oracle].value
    return now + now * bps // 1_000_000


async def test_a_price_that_time_does_not_move_is_not_asked_for_again() -> None:
    look, simulator = look_at(moves_by_time=False), ToldSimulator(word=1)
    aimed = await Aim(PORT, simulator).at_target(look, look.found.opportunities)
    assert aimed.view is look.found.view
    assert aimed.opportunities is look.found.opportunities
    assert simulator.asked == []


async def test_a_price_that_events_tell_is_not_asked_for_again() -> None:
    look, simulator = look_at(moves_by_time=True), ToldSimulator(word=1)
    aim = Aim(PORT, simulator, is_told=lambda feed: feed == FIRST.params.oracle)
    assert not aim.moves(look, look.found.opportunities)
    aimed = await aim.at_target(look, look.found.opportunities)
    assert aimed.view is look.found.view
    assert simulator.asked == []
    assert Aim(PORT, simulator).moves(look, look.found.opportunities)


async def test_what_is_seized_is_reckoned_at_the_target_blocks_price() -> None:
    look = look_at(moves_by_time=True)
    simulator = ToldSimulator(word=priced(look, 1))
    aimed = await Aim(PORT, simulator).at_target(look, look.found.opportunities)
    assert simulator.asked == [(FIRST.params.oracle, NEXT_S)]
    (one,) = aimed.opportunities
    assert one.trigger == "a test"
    assert aimed.view.lines[FIRST.id].price == priced(look, 1)
    (position,) = look.book.positions.values()
    (option,) = one.options
    before, after = (
        PORT.seize(view, position, option, option.max_repay // 2).seized
        for view in (look.found.view, aimed.view)
    )
    assert 0 < before - after < before // 100_000


class Noting(MorphoAdapter, frozen=True, kw_only=True):
    """Keeps of which blocks and times a market was viewed."""

    viewed: list[tuple[int, int]] = field(default_factory=list)

    def at(self, market: Any, *, block: int, timestamp: int, prices: Any) -> Any:
        self.viewed.append((block, timestamp))
        return super().at(market, block=block, timestamp=timestamp, prices=prices)


async def test_the_market_is_viewed_as_the_target_block_has_it() -> None:
    """Some accrue by the block's number, others by its time."""
    look = look_at(moves_by_time=True)
    port = Noting(
        deployment="morpho_blue.local", start_block=1, parameters=Parameters(morpho=MORPHO)
    )
    await Aim(port, ToldSimulator(word=priced(look, 1))).at_target(look, look.found.opportunities)
    assert port.viewed == [(BLOCK.number + 1, NEXT_S)]


async def test_behind_a_lead_no_price_is_asked_for_again() -> None:
    look, simulator = look_at(moves_by_time=True), ToldSimulator(word=1)
    lead: Any = object()
    aimed = await Aim(PORT, simulator).at_target(look, look.found.opportunities, lead)
    assert aimed.opportunities is look.found.opportunities
    assert simulator.asked == []


async def test_an_account_that_is_sound_by_then_is_left_alone() -> None:
    look = look_at(moves_by_time=True)
    aimed = await Aim(PORT, ToldSimulator(word=priced(look, 900))).at_target(
        look, look.found.opportunities
    )
    assert aimed.opportunities == []


@pytest.mark.parametrize("moved", [None, 1_100, -1_100, -1_000_000])
async def test_a_price_that_fails_or_leaps_stays_as_the_guards_judged_it(
    moved: int | None,
) -> None:
    look = look_at(moves_by_time=True)
    word = None if moved is None else priced(look, moved)
    aimed = await Aim(PORT, ToldSimulator(word)).at_target(look, look.found.opportunities)
    assert aimed.view is look.found.view


async def test_the_feeds_of_a_market_are_made_once_before_it_is_looked_at() -> None:
    first, second = look_at(moves_by_time=False), look_at(moves_by_time=True)
    made: list[object] = []

    class Counting:
        """The adapter, whose feeds are counted."""

        def feeds(self, market: Any) -> Any:
            made.append(market)
            return PORT.feeds(market)

        def __getattr__(self, name: str) -> Any:
            return getattr(PORT, name)

    aim: Aim[Any, Any] = Aim(Counting(), ToldSimulator(word=1))
    aim.take(first.book.market)
    assert not aim.moves(first, first.found.opportunities)
    assert not (await aim.at_target(first, first.found.opportunities)).rejections
    assert made == [first.book.market]
    assert aim.moves(second, second.found.opportunities)
    assert made == [first.book.market, second.book.market]
