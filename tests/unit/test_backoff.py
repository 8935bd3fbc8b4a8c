"""An account that failed is left alone for a while, never for good."""

from keeper.core.lending import AccountRef
from keeper.executor.backoff import LONGEST_WAIT_BLOCKS, Backoff
from tests.support.ledger_records import MARKET, account

ONE, OTHER = (AccountRef(market=MARKET, account=account(number)) for number in (1, 2))


def test_nobody_waits_without_a_failure() -> None:
    assert Backoff().until(ONE, 100) is None


def test_a_failure_holds_the_account_back_for_the_rest_of_its_block() -> None:
    backoff = Backoff()
    backoff.failed(ONE, 100)
    assert backoff.until(ONE, 100) == 101
    assert backoff.until(ONE, 101) is None
    assert backoff.until(OTHER, 100) is None


def test_each_failure_in_a_row_doubles_the_wait_up_to_the_longest() -> None:
    backoff, waits, block = Backoff(), [], 100
    for _ in range(9):
        backoff.failed(ONE, block)
        until = backoff.until(ONE, block)
        assert until is not None
        waits.append(until - block)
        block = until
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]
    assert waits[-1] == LONGEST_WAIT_BLOCKS


def test_a_price_move_lets_everybody_try_again_from_the_first_wait() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.failed(ONE, 100)
    backoff.forget()
    assert backoff.until(ONE, 100) is None
    backoff.failed(ONE, 100)
    assert backoff.until(ONE, 100) == 101


def test_the_same_account_of_another_market_does_not_wait() -> None:
    backoff = Backoff()
    backoff.failed(ONE, 100)
    assert backoff.until(AccountRef(market="another", account=ONE.account), 100) is None
