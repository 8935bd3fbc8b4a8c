"""What policy reads of the bytes is what was written: whom a program calls, pays and allows."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.units import Address
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Flash,
    FlashKind,
    Known,
    PairSwap,
    PayLater,
    Program,
    Step,
    Swap,
    Tip,
)
from keeper.evm.program_encoder import encode
from keeper.evm.program_reader import Reach, read_reach
from keeper.evm.words import selector

TOKEN = st.sampled_from([Address(f"0x{place:040x}") for place in range(0xA0, 0xA4)])
PLACE = st.sampled_from([Address(f"0x{place:040x}") for place in range(0xB0, 0xC0)])
OPERAND = st.one_of(
    st.integers(0, 2**256 - 1),
    st.integers(0, 70),
    TOKEN,
    st.sampled_from(Known),
    st.builds(BalanceOf, token=TOKEN),
)
PARTS = st.lists(st.one_of(OPERAND, st.binary(max_size=70)), max_size=5).map(tuple)
SELECTOR = st.binary(min_size=4, max_size=4)
WAYS = st.tuples(TOKEN, TOKEN).filter(lambda pair: pair[0] != pair[1])
LIMIT = st.none() | OPERAND
CALL = st.builds(
    Call,
    target=PLACE,
    selector=SELECTOR,
    parts=PARTS,
    approval=st.none() | st.builds(Approval, token=TOKEN, spender=PLACE, amount=OPERAND),
    value=st.sampled_from((0, 1, Known.NATIVE)),
    optional=st.booleans(),
)


@st.composite
def swaps(draw: st.DrawFn, inner: st.SearchStrategy[tuple[Step, ...]]) -> Step:
    token_in, token_out = draw(WAYS)
    where, amount, limit, steps = draw(PLACE), draw(OPERAND), draw(LIMIT), draw(inner)
    if draw(st.booleans()):
        return Swap(
            pool=where,
            token_in=token_in,
            token_out=token_out,
            amount=amount,
            limit=limit,
            inner=steps,
        )
    return PairSwap(
        pair=where,
        token_in=token_in,
        token_out=token_out,
        amount=amount,
        limit=limit,
        fee=draw(st.integers(0, 2**16 - 1)),
        inner=steps,
    )


def around(step: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    inner = st.lists(step, max_size=3).map(tuple)
    flash = st.builds(
        Flash,
        lender=PLACE,
        asset=TOKEN,
        amount=OPERAND,
        inner=inner,
        kind=st.sampled_from(FlashKind),
    )
    later = st.builds(
        PayLater,
        target=PLACE,
        token=TOKEN,
        limit=OPERAND,
        selector=SELECTOR,
        parts=PARTS,
        inner=inner,
        optional=st.booleans(),
    )
    return st.one_of(swaps(inner), flash, later)


PROGRAM = st.builds(
    Program,
    deadline=st.integers(0, 2**40 - 1),
    profit_token=TOKEN,
    min_profit=st.integers(0, 2**256 - 1),
    steps=st.lists(st.recursive(CALL, around, max_leaves=8), max_size=4).map(tuple),
    tip=st.none() | st.builds(Tip, amount=st.integers(0, 10**20), unwrap=st.none() | TOKEN),
    sweep=st.lists(TOKEN, max_size=2).map(tuple),
)


def every(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if not isinstance(step, Call):
            yield from every(step.inner)


def written(program: Program) -> Reach:
    steps = list(every(program.steps))
    calls = [one for one in steps if isinstance(one, Call)]
    loans = [one for one in steps if isinstance(one, Flash)]
    later = [one.target for one in steps if isinstance(one, PayLater)]
    taking = [one.lender for one in loans if one.kind in (FlashKind.SIMPLE, FlashKind.ERC_3156)]
    swapped = [one.pool for one in steps if isinstance(one, Swap)]
    return Reach(
        called=frozenset([one.target for one in calls] + [one.lender for one in loans] + later),
        spenders=frozenset(
            [one.approval.spender for one in calls if one.approval] + taking + later
        ),
        pools=frozenset(swapped + [one.pair for one in steps if isinstance(one, PairSwap)]),
        tokens=frozenset(moved for one in steps if (moved := moved_by(one)) is not None),
    )


def moved_by(step: Step) -> Address | None:
    match step:
        case Call(approval=approval):
            return None if approval is None else approval.token
        case Swap(token_in=token) | PairSwap(token_in=token):
            return token
        case Flash(asset=token) | PayLater(token=token):
            return token


@given(PROGRAM)
def test_whom_a_program_reaches_is_read_from_its_bytes(program: Program) -> None:
    assert read_reach(encode(program)) == written(program)


@pytest.mark.parametrize(
    "grant", ["approve(address,uint256)", "increaseAllowance(address,uint256)",
              "setApprovalForAll(address,bool)"]
)  # fmt: skip
def test_a_call_that_gives_an_allowance_past_its_step_is_no_program(grant: str) -> None:
    token, spender = Address("0x" + "a1" * 20), Address("0x" + "b1" * 20)
    calls = (Call(target=token, selector=selector(grant), parts=(spender, 1)),)
    program = Program(deadline=1, profit_token=token, min_profit=0, steps=calls)
    with pytest.raises(ValueError, match=grant.partition("(")[0]):
        read_reach(encode(program))


@settings(max_examples=25)
@given(PROGRAM, st.data())
def test_bytes_that_end_early_or_go_on_are_no_program(
    program: Program, data: st.DataObject
) -> None:
    whole = encode(program)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for wrong in (cut, whole + b"\x00", whole + b"\x0f", b"\x00" + whole):
        try:
            found = read_reach(wrong)
        except ValueError:
            continue
        # Cut where a step ends, what is left is a shorter program.
        assert wrong == cut
        assert found.called | found.spenders | found.pools <= {
            *written(program).called,
            *written(program).spenders,
            *written(program).pools,
        }


@pytest.mark.parametrize("data", [b"", b"\x61\x46\x19\x54", b"\xa9\x05\x9c\xbb" + bytes(64)])
def test_what_is_no_call_of_the_executor_is_no_program(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_reach(data)
