"""Lenders are read once for a block."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from keeper.core.chain import BlockRef, Log
from keeper.core.plan import LoanKind
from keeper.core.units import Address
from keeper.planner.lenders import Lenders
from keeper.venues.loan_book import LoanBook
from tests.support.ledger_records import block
from tests.support.lending_desk import DAI, LENDER, USDC


@dataclass
class Counting:
    """Lends as many units as it was asked."""

    name: str = "counting"
    asked: list[tuple[frozenset[Address], int]] = field(default_factory=list)

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        self.asked.append((frozenset(assets), block.number))
        held = dict.fromkeys(assets, len(self.asked))
        return LoanBook(
            source=self.name, lender=LENDER, kind=LoanKind.FLASH_SIMPLE, held=held, gas=1
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        del logs
        return None


async def test_the_same_assets_at_the_same_block_are_read_once() -> None:
    source = Counting()
    lenders = Lenders([source])
    whole = await lenders.at(frozenset((USDC, DAI)), block(7))
    assert await lenders.at(frozenset((USDC,)), block(7)) == whole
    assert source.asked == [({USDC, DAI}, 7)]


async def test_another_asset_is_read_at_the_same_block() -> None:
    lenders = Lenders([Counting()])
    await lenders.at(frozenset((USDC,)), block(7))
    (book,) = await lenders.at(frozenset((DAI,)), block(7))
    assert book.most(DAI) == 2


async def test_what_was_lent_at_another_block_is_not_taken_for_this_one() -> None:
    lenders = Lenders([Counting()])
    await lenders.at(frozenset((USDC,)), block(7))
    (book,) = await lenders.at(frozenset((USDC,)), block(8))
    assert book.most(USDC) == 2


async def test_everybody_is_told_of_whatever_was_borrowed_lately() -> None:
    source = Counting()
    lenders = Lenders([source])
    await lenders.at(frozenset((USDC,)), block(7))
    await lenders.at(frozenset((DAI,)), block(8))
    assert source.asked[-1] == ({USDC, DAI}, 8)
    await lenders.refresh(block(307))
    assert source.asked[-1] == ({DAI}, 307)
    await lenders.refresh(block(308))
    assert source.asked[-1] == ({DAI}, 307)


async def test_what_is_held_is_what_was_read_last_and_reads_nothing() -> None:
    source = Counting()
    lenders = Lenders([source])
    assert lenders.held(frozenset((USDC,))) is None
    read = await lenders.at(frozenset((USDC,)), block(7))
    assert lenders.held(frozenset((USDC,))) is read
    assert lenders.held(frozenset((USDC, DAI))) is None
    await lenders.refresh(block(8))
    assert lenders.held(frozenset((USDC,))) == await lenders.at(frozenset((USDC,)), block(8))
    assert [number for _, number in source.asked] == [7, 8]
