"""What of a transaction's logs is pay: transfers of the one token, to and from the one account."""

from collections.abc import Sequence

import pytest

from keeper.core.chain import Log
from keeper.core.units import WAD, Hash32
from keeper.core.values import replace
from keeper.executor.dividing import divided
from keeper.executor.settlement import is_paid_to, received, settlement
from tests.support.batch_records import decoders, part
from tests.support.ledger_records import EXECUTOR, USDC, WETH, account
from tests.support.rehearsal_node import ONE, RECIPIENT, TWO, transfer, word

APPROVAL = Hash32("0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925")
"""topic0 of ERC-20 ``Approval(address indexed owner,address indexed spender,uint256 value)``."""
DEPOSIT = Hash32("0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c")
"""topic0 of WETH9's ``Deposit(address indexed dst,uint256 wad)``."""

PAY = transfer(WETH, EXECUTOR, RECIPIENT, 5 * WAD)
NO_PAY = {
    "another token": replace(PAY, address=USDC),
    "an allowance": replace(PAY, topics=(APPROVAL, *PAY.topics[1:])),
    "a deposit": replace(PAY, topics=(DEPOSIT, word(RECIPIENT))),
    "a transfer of two topics": replace(PAY, topics=PAY.topics[:2]),
    "an item of a collection": replace(PAY, topics=(*PAY.topics, word(RECIPIENT))),
    "pay of somebody else": transfer(WETH, EXECUTOR, account(78), 5 * WAD),
}


def paid(*logs: Log) -> int:
    return received(logs, WETH, RECIPIENT)


@pytest.mark.parametrize("what", NO_PAY)
def test_only_a_transfer_of_the_token_to_the_recipient_is_pay(what: str) -> None:
    assert paid(NO_PAY[what], PAY, NO_PAY[what]) == 5 * WAD
    assert not is_paid_to(NO_PAY[what], WETH, RECIPIENT)
    assert is_paid_to(PAY, WETH, RECIPIENT)


def test_what_the_recipient_pays_is_taken_off_and_what_he_pays_himself_is_nothing() -> None:
    back = transfer(WETH, RECIPIENT, EXECUTOR, 7 * WAD)
    assert paid(PAY, back) == -2 * WAD
    assert paid(transfer(WETH, RECIPIENT, RECIPIENT, WAD)) == 0
    assert not is_paid_to(back, WETH, RECIPIENT)


def test_pay_of_nothing_is_pay_all_the_same() -> None:
    assert is_paid_to(transfer(WETH, EXECUTOR, RECIPIENT, 0), WETH, RECIPIENT)


def test_without_a_flash_loan_there_is_no_fee() -> None:
    moved = settlement((), None, received_wei=5, tip=3, gas=2)
    assert (moved.flash_fee_asset, moved.flash_fee) == (None, 0)
    lent = settlement((), (USDC, 9), received_wei=5, tip=3, gas=2)
    assert (lent.flash_fee_asset, lent.flash_fee) == (USDC, 9)
    assert (lent.received, lent.tip, lent.gas) == (5, 3, 2)


@pytest.mark.parametrize("what", NO_PAY)
def test_an_account_of_a_batch_begins_behind_pay_and_behind_nothing_else(what: str) -> None:
    first = part(ONE, 5 * WAD, 1)
    second = part(TWO, 3 * WAD, 2)
    # What is no pay comes just before the second account is liquidated, with its own pay behind.
    logs = placed([*first, transfer(WETH, RECIPIENT, EXECUTOR, WAD), NO_PAY[what], *second])
    refs = [ONE.ref, TWO.ref]
    parts = divided(logs, refs, decoders(), tip=0, gas=0)
    assert [one.received for one in parts] == [5 * WAD, 2 * WAD]


def placed(logs: Sequence[Log]) -> tuple[Log, ...]:
    return tuple(replace(log, index=place) for place, log in enumerate(logs))


def test_the_tip_and_what_is_left_over_of_gas_are_the_firsts() -> None:
    logs = placed([*part(ONE, 5, 1), *part(TWO, 3, 2)])
    parts = divided(logs, [ONE.ref, TWO.ref], decoders(), tip=7, gas=9)
    assert [(one.tip, one.gas) for one in parts] == [(7, 5), (0, 4)]
    assert [one.flash_fee for one in parts] == [1, 2]


def test_of_one_account_all_that_is_paid_is_its_own_and_no_liquidation_of_another() -> None:
    logs = placed([*part(ONE, 5, 1), *part(TWO, 3, 2)])
    (alone,) = divided(logs, [ONE.ref], decoders(), tip=7, gas=9)
    assert [one.ref for one in alone.liquidations] == [ONE.ref]
    assert (alone.received, alone.tip, alone.gas) == (8, 7, 9)


def test_an_account_that_nobody_was_paid_before_begins_with_the_logs() -> None:
    trailing = transfer(USDC, EXECUTOR, EXECUTOR, 1)
    logs = placed([*part(TWO, 3, 2), trailing])
    first, second = divided(logs, [ONE.ref, TWO.ref], decoders(), tip=0, gas=0)
    assert (first.liquidations, first.received, first.flash_fee) == ((), 0, 0)
    assert (second.received, second.flash_fee) == (3, 2)
