"""What Morpho Blue lends for nothing, and what a loan's log says."""

from typing import cast

from keeper.core.chain import Log
from keeper.core.plan import Funding, LoanKind
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32, address_bytes
from keeper.venues.morpho_flash import FLASH_LOAN_TOPIC, MorphoFlashSource
from tests.support.lending_desk import BLOCK, EXECUTOR, LENDER, USDC, WETH
from tests.support.scripted_reader import ScriptedReader, words

BALANCE_OF = bytes.fromhex("70a08231") + address_bytes(LENDER).rjust(32, b"\x00")


def source(**held: int) -> MorphoFlashSource:
    tokens = {"usdc": USDC, "weth": WETH}
    answers = {(tokens[name], BALANCE_OF): words(amount) for name, amount in held.items()}
    reader = cast("Reader", ScriptedReader(answers=answers))
    return MorphoFlashSource(reader, morpho=LENDER, executor=EXECUTOR)


def loan_log(caller: Address, *, address: Address = LENDER) -> Log:
    parties = (address_bytes(one).rjust(32, b"\x00").hex() for one in (caller, USDC))
    return Log(
        address=address,
        topics=(FLASH_LOAN_TOPIC, *(Hash32("0x" + one) for one in parties)),
        data=words(7),
        block_number=1,
        block_hash=Hash32("0x" + "11" * 32),
        tx_hash=Hash32("0x" + "22" * 32),
        index=0,
    )


async def test_it_lends_all_that_it_holds_for_nothing() -> None:
    book = await source(usdc=1_000, weth=5).snapshot([USDC, WETH], BLOCK)
    assert book.quote(USDC, 1_000) == Funding(
        source="morpho_blue",
        lender=LENDER,
        asset=USDC,
        amount=1_000,
        fee=0,
        gas=40_000,
        kind=LoanKind.FLASH_PLAIN,
    )
    assert book.quote(USDC, 1_001) is None
    assert (book.most(WETH), book.most(LENDER)) == (5, 0)


async def test_a_token_that_does_not_answer_cannot_be_borrowed() -> None:
    book = await source(usdc=1_000).snapshot([USDC, WETH], BLOCK)
    assert book.most(WETH) == 0
    assert book.quote(WETH, 1) is None


def test_a_loan_of_the_executor_is_told_with_a_fee_of_nothing() -> None:
    assert source().fee_paid([loan_log(EXECUTOR)]) == (USDC, 0)


def test_loans_of_others_and_by_others_are_not_ours() -> None:
    assert source().fee_paid([loan_log(LENDER), loan_log(EXECUTOR, address=USDC)]) is None
