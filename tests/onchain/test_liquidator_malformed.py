"""A program that cannot be read to its very end is undone, at the place where reading failed."""

import pytest

from keeper.core.values import replace
from keeper.evm.program import Call
from keeper.evm.program_encoder import encode
from tests.support.executor_scene import LOAN, Scene, scene_of
from tests.support.executor_stage import Stage


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return scene_of(stage)


def test_every_truncation_of_a_program_is_refused(stage: Stage, scene: Scene) -> None:
    data = encode(scene.program())
    calls = [
        (
            "eth_call",
            (
                {
                    "from": stage.operator,
                    "to": stage.executor.address,
                    "data": "0x" + data[:size].hex(),
                },
                "latest",
            ),
        )
        for size in range(4, len(data) + 1)
    ]
    *truncated, (_, whole) = stage.rpc.try_batch(calls)
    assert "result" in whole
    assert [i for i, (_, reply) in enumerate(truncated) if "result" in reply] == []


def test_an_unknown_step_is_refused(stage: Stage, scene: Scene) -> None:
    data = encode(scene.program())
    assert stage.refusal(data + b"\x0f") == f"MalformedProgram(pos={len(data)})"


def last_call(stage: Stage, scene: Scene) -> tuple[bytes, int]:
    """Return a program that ends in the parts of a call, and where their count is."""
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    call = Call(target=scene.bargain.address, selector=bytes(4), parts=(0, 0))
    data = encode(scene.program(call))
    return data, len(data) - 3


def test_more_parts_than_there_are_is_refused_where_they_end(stage: Stage, scene: Scene) -> None:
    data, count = last_call(stage, scene)
    longer = data[:count] + b"\x03" + data[count + 1 :]
    assert stage.refusal(longer) == f"MalformedProgram(pos={len(data)})"


def test_raw_bytes_beyond_the_end_are_refused(stage: Stage, scene: Scene) -> None:
    data, count = last_call(stage, scene)
    beyond = data[:count] + bytes.fromhex("01 23 0003 9999")
    assert stage.refusal(beyond) == f"MalformedProgram(pos={count + 1})"


def test_a_call_without_room_for_its_selector_is_refused(stage: Stage, scene: Scene) -> None:
    data, count = last_call(stage, scene)
    assert stage.refusal(data[:count]) == f"MalformedProgram(pos={count - 4})"


def test_inner_steps_beyond_the_end_are_refused(stage: Stage, scene: Scene) -> None:
    data = encode(scene.program(replace(scene.repay_leg(), amount=1)))
    beyond = data[:-2] + b"\x00\x01"
    assert stage.refusal(beyond) == f"MalformedProgram(pos={len(data) - 2})"


def test_an_address_beyond_the_table_is_refused(stage: Stage, scene: Scene) -> None:
    data, count = last_call(stage, scene)
    size = data[10]
    for reference in (0x40 | size, 0x80 | size):
        named = data[: count + 1] + bytes((reference, 0))
        assert stage.refusal(named) == "MalformedProgram(pos=10)"


@pytest.mark.parametrize("tag", [0x25, 0x3F, 0xC0, 0xFF])
def test_an_unknown_operand_is_refused(stage: Stage, scene: Scene, tag: int) -> None:
    data, count = last_call(stage, scene)
    unknown = data[: count + 1] + bytes((tag, 0))
    assert stage.refusal(unknown) == f"MalformedProgram(pos={count + 1})"


def test_a_swap_of_more_than_the_pool_can_be_asked_for_is_refused(
    stage: Stage, scene: Scene
) -> None:
    program = scene.program(replace(scene.repay_leg(), amount=2**255))
    assert stage.refusal(program) == f"AmountTooLarge(amount={2**255})"


def test_a_program_without_a_token_is_refused(stage: Stage, scene: Scene) -> None:
    header = encode(scene.program())[:9]
    assert stage.refusal(header + bytes((0, 0, 0, 0, 255))) == "MalformedProgram(pos=10)"
