"""Whatever an aggregator answers, an answer passes only when every one of its claims holds."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.ports import Ask
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.venues.aggregators.answer import Answer
from keeper.venues.aggregators.checks import MOST_DATA, MOST_GAS, AllowList, fault
from tests.support.ledger_records import account

addresses = st.integers(1, 4).map(account)
amounts = st.integers(0, 10**30)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    return Ask(
        token_in=account(1),
        token_out=account(2),
        amount_in=draw(amounts),
        taker=account(3),
        fair_out=draw(st.integers(10, 10**30)),
        decimals=(18, 18),
    )


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    return Answer(
        token_in=draw(addresses),
        token_out=draw(addresses),
        amount_in=draw(amounts),
        amount_out=draw(amounts),
        target=draw(addresses),
        spender=draw(addresses),
        data=bytes(draw(st.integers(0, MOST_DATA + 2))),
        value=draw(st.integers(0, 1)),
        gas=draw(st.integers(0, 2 * MOST_GAS)),
        taker=draw(st.none() | addresses),
    )


allowed = st.builds(AllowList, targets=st.frozensets(addresses), spenders=st.frozensets(addresses))


def honest(ask: Ask, target: Address) -> Answer:
    return Answer(
        token_in=ask.token_in,
        token_out=ask.token_out,
        amount_in=ask.amount_in,
        amount_out=ask.fair_out,
        target=target,
        spender=target,
        data=bytes(4),
        value=0,
        gas=0,
        taker=ask.taker,
    )


@given(asks(), addresses)
def test_an_honest_answer_passes(ask, router):
    only = AllowList(targets=frozenset({router}), spenders=frozenset({router}))
    assert fault(ask, honest(ask, router), only) is None


@given(asks(), answers(), allowed, st.sets(st.integers(0, 8)))
def test_what_passes_holds_in_every_point(ask, wild, lists, kept):
    """Some claims are honest and the others wild, so that single lies are met as well."""
    good = honest(ask, account(4))
    names = (
        *("token_in", "token_out", "amount_in", "amount_out", "target"),
        *("spender", "data", "value", "gas"),
    )
    answer = replace(wild, **{names[place]: getattr(good, names[place]) for place in kept})
    holds = (
        answer.target in lists.targets
        and answer.spender in lists.spenders
        and (answer.token_in, answer.token_out) == (ask.token_in, ask.token_out)
        and answer.amount_in == ask.amount_in
        and answer.taker in (None, ask.taker)
        and answer.value == 0
        and 0 < answer.amount_out * 10 <= ask.fair_out * 12
        and 4 <= len(answer.data) <= MOST_DATA
        and answer.gas <= MOST_GAS
    )
    assert (fault(ask, answer, lists) is None) == holds
