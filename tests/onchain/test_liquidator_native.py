"""The native coin that the executor holds, as an operand."""

from keeper.core.lending import Held, ProtocolCall
from keeper.devnet.contract import Contract, selector
from keeper.evm.program import BalanceOf, Call, Known, Program
from keeper.planner.build import protocol_call
from tests.support.executor_stage import FAR_FUTURE, RECIPIENT, Stage

WEI = 123_456


def program(token: Contract, *steps: Call) -> Program:
    return Program(deadline=FAR_FUTURE, profit_token=token.address, min_profit=WEI, steps=steps)


def call(token: Contract, function: str, *parts: int | BalanceOf, value: int | Known = 0) -> Call:
    return Call(
        target=token.address,
        selector=selector(token.artifact.functions[function]),
        parts=parts,
        value=value,
    )


def test_all_the_native_coin_held_is_wrapped(stage: Stage) -> None:
    token = stage.token("WrappedNative")
    stage.run(program(token, call(token, "deposit", value=Known.NATIVE)), value=WEI)
    assert stage.holding(token, RECIPIENT) == WEI
    assert stage.native(stage.executor.address) == 0


def test_what_was_unwrapped_is_wrapped_again(stage: Stage) -> None:
    token = stage.token("WrappedNative")
    steps = (
        call(token, "deposit", value=Known.NATIVE),
        call(token, "withdraw", BalanceOf(token=token.address)),
        call(token, "deposit", value=Known.NATIVE),
    )
    stage.run(program(token, *steps), value=WEI)
    assert stage.holding(token, RECIPIENT) == WEI


def test_a_protocols_call_may_be_of_what_is_held(stage: Stage) -> None:
    token = stage.token("WrappedNative")
    deposit, withdraw = (selector(token.artifact.functions[one]) for one in ("deposit", "withdraw"))
    wrap = ProtocolCall(target=token.address, data=deposit, value=Held(token=None))
    unwrap = ProtocolCall(
        target=token.address,
        data=withdraw + bytes(32),
        held={0: Held(token=token.address)},
    )
    steps = tuple(protocol_call(one) for one in (wrap, unwrap, wrap))
    stage.run(program(token, *steps), value=WEI)
    assert stage.holding(token, RECIPIENT) == WEI
