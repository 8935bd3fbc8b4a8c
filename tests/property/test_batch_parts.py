"""However a transaction of several accounts ends, their parts are the whole, to the wei."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.accounting import waterfall
from keeper.core.chain import Log
from keeper.core.plan import Plan
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.dividing import divided, equal_parts
from keeper.executor.settlement import received
from keeper.ledger.books import add_up
from tests.support.batch_records import decoders, part
from tests.support.ledger_records import EXECUTOR, VALUATION, WETH, plan
from tests.support.rehearsal_node import RECIPIENT, transfer

AMOUNTS = st.one_of(st.integers(0, 3), st.integers(0, 100 * WAD))


@st.composite
def transactions(draw: st.DrawFn) -> tuple[list[Plan], list[int | None], tuple[Log, ...]]:
    """Return plans, what each brought (None: it was not liquidated), and the logs of that.

    A lender who is the recipient himself lends and is repaid before the account is paid out.
    """
    plans = [plan(number) for number in range(1, draw(st.integers(1, 10)) + 1)]
    gains = [draw(st.one_of(st.none(), AMOUNTS)) for _ in plans]
    logs: list[Log] = []
    for one, gain in zip(plans, gains, strict=True):
        if gain is None:
            continue
        first, liquidated, *rest = part(one, gain, draw(st.integers(0, 10**9)))
        lent = draw(st.one_of(st.none(), AMOUNTS))
        logs += [first, liquidated]
        if lent is not None:
            logs.insert(-1, transfer(WETH, RECIPIENT, EXECUTOR, lent))
            logs.append(transfer(WETH, EXECUTOR, RECIPIENT, lent))
        logs += rest
    return plans, gains, tuple(replace(log, index=place) for place, log in enumerate(logs))


@given(transactions(), AMOUNTS)
def test_the_parts_of_a_transaction_add_up_to_it(
    made: tuple[list[Plan], list[int | None], tuple[Log, ...]], gas: int
) -> None:
    plans, gains, logs = made
    refs = [one.ref for one in plans]
    parts = divided(logs, refs, decoders(plans), tip=0, gas=gas)
    assert [one.received for one in parts] == [gain or 0 for gain in gains]
    whole = add_up(waterfall(one, VALUATION) for one in parts)
    assert whole.net == received(logs, WETH, RECIPIENT) - gas
    assert whole.gas == gas


@given(AMOUNTS, st.integers(1, 10))
def test_equal_parts_are_equal_but_for_what_is_left_over(total: int, count: int) -> None:
    first, *others = equal_parts(total, count)
    assert first + sum(others) == total
    assert all(0 <= first - one < count for one in others)
