"""What an Aave V3 pool lends, at what premium, and what a loan's log says."""

from typing import cast

import pytest

from keeper.core.chain import Log
from keeper.core.errors import StaleError
from keeper.core.plan import Funding
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32, address_bytes
from keeper.venues.flash_loans import FLASH_LOAN_TOPIC, AaveV3FlashSource, AaveV3LoanBook
from tests.support.lending_desk import BLOCK, EXECUTOR, LENDER, USDC, WETH, named
from tests.support.scripted_reader import ScriptedReader, words

ATOKEN = named("a7")
ACTIVE, PAUSED, FLASH_ENABLED = 1 << 56, 1 << 60, 1 << 63
Script = dict[tuple[Address, bytes], bytes]


def script(
    *,
    revision: int = 1,
    flags: int = ACTIVE | FLASH_ENABLED,
    cash: int = 1_000,
    counted: int | None = None,
) -> Script:
    usdc, atoken = (address_bytes(one).rjust(32, b"\x00") for one in (USDC, ATOKEN))
    answers = {
        (LENDER, bytes.fromhex("074b2e43")): words(5),
        (LENDER, bytes.fromhex("0148170e")): words(revision),
        (LENDER, bytes.fromhex("35ea6a75") + usdc): words(flags, *(0,) * 7, int(ATOKEN, 16)),
        (USDC, bytes.fromhex("70a08231") + atoken): words(cash),
    }
    if counted is not None:
        answers[LENDER, bytes.fromhex("6fb07f96") + usdc] = words(counted)
    return answers


async def book_from(answers: Script) -> AaveV3LoanBook:
    return await source_over(answers).snapshot([USDC], BLOCK)


def source_over(answers: Script) -> AaveV3FlashSource:
    reader = cast("Reader", ScriptedReader(answers=answers))
    return AaveV3FlashSource(reader, pool=LENDER, executor=EXECUTOR)


async def test_a_pool_lends_its_cash_and_no_more() -> None:
    book = await book_from(script())
    assert book.quote(USDC, 1_000) == Funding(
        source="aave_v3", lender=LENDER, asset=USDC, amount=1_000, fee=1, gas=120_000
    )
    assert book.quote(USDC, 1_001) is None
    assert book.quote(WETH, 1) is None


@pytest.mark.parametrize(
    "flags", [FLASH_ENABLED, ACTIVE, ACTIVE | FLASH_ENABLED | PAUSED, 0], ids=hex
)
async def test_an_inactive_paused_or_closed_reserve_lends_nothing(flags: int) -> None:
    assert (await book_from(script(flags=flags))).quote(USDC, 1) is None


async def test_from_3_1_the_pool_lends_no_more_than_it_counts() -> None:
    book = await book_from(script(revision=4, counted=600))
    assert book.quote(USDC, 600) is not None
    assert book.quote(USDC, 601) is None


@pytest.mark.parametrize(
    ("revision", "amount", "fee"),
    [(1, 999, 0), (1, 1_000, 1), (8, 1_001, 1), (9, 1, 1), (9, 2_000, 1), (10, 2_001, 2)],
)
async def test_the_premium_is_half_up_and_from_3_5_rounded_up(
    revision: int, amount: int, fee: int
) -> None:
    book = await book_from(script(revision=revision, cash=10**6, counted=10**6))
    loan = book.quote(USDC, amount)
    assert loan is not None
    assert loan.fee == fee


async def test_an_address_without_code_is_not_a_pool_that_lends_nothing() -> None:
    with pytest.raises(StaleError, match="expected at least 32 bytes, found 0"):
        await book_from(dict.fromkeys(script(), b""))


async def test_what_a_reserve_was_asked_before_is_asked_with_the_rest_the_next_time() -> None:
    reader = ScriptedReader(answers=script(revision=4, counted=600))
    source = AaveV3FlashSource(cast("Reader", reader), pool=LENDER, executor=EXECUTOR)
    first = await source.snapshot([USDC], BLOCK)
    assert len(reader.rounds) == 2
    assert await source.snapshot([USDC], BLOCK) == first
    assert len(reader.rounds) == 3


async def test_a_reserve_with_another_token_than_before_is_asked_of_that_one() -> None:
    reader = ScriptedReader(answers=script(cash=1_000))
    source = AaveV3FlashSource(cast("Reader", reader), pool=LENDER, executor=EXECUTOR)
    await source.snapshot([USDC], BLOCK)
    usdc, other = (address_bytes(one).rjust(32, b"\x00") for one in (USDC, named("a8")))
    moved = {
        (LENDER, bytes.fromhex("35ea6a75") + usdc): words(
            ACTIVE | FLASH_ENABLED, *(0,) * 7, int(named("a8"), 16)
        ),
        (USDC, bytes.fromhex("70a08231") + other): words(77),
    }
    gone = {(USDC, bytes.fromhex("70a08231") + address_bytes(ATOKEN).rjust(32, b"\x00"))}
    reader.answers = {k: v for k, v in {**script(), **moved}.items() if k not in gone}
    assert (await source.snapshot([USDC], BLOCK)).most(USDC) == 77


async def test_a_pool_that_reverts_makes_the_block_stale() -> None:
    with pytest.raises(StaleError, match="found a revert"):
        await book_from({})


def loan_log(*, target: Address = EXECUTOR, asset: Address = USDC, premium: int = 7) -> Log:
    topics = (
        FLASH_LOAN_TOPIC,
        *(Hash32("0x" + one[2:].rjust(64, "0")) for one in (target, asset)),
        Hash32("0x" + "00" * 32),
    )
    return Log(
        address=LENDER,
        topics=topics,
        data=words(int(target, 16), 1_000, 0, premium),
        block_number=1,
        block_hash=BLOCK.hash,
        tx_hash=BLOCK.hash,
        index=0,
    )


def test_the_fee_paid_is_the_premium_of_the_executor_s_own_loans() -> None:
    source = source_over({})
    others = loan_log(target=named("ee"), premium=1_000)
    assert source.fee_paid([loan_log(), others, loan_log(premium=2)]) == (USDC, 9)


def test_logs_without_a_loan_have_no_fee() -> None:
    assert source_over({}).fee_paid([loan_log(target=named("ee"))]) is None
