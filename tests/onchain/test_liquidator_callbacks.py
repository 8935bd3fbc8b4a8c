"""A callback counts once, from whom was called, of the right kind, with the bytes it was given."""

import pytest

from keeper.core.values import replace
from keeper.devnet.contract import Contract
from keeper.devnet.sender import read
from keeper.evm.executor_revert import ERRORS
from keeper.evm.program_encoder import encode
from tests.support.executor_scene import GAIN, LOAN, Scene, scene_of
from tests.support.executor_stage import RECIPIENT, Stage

POOL_MODES = (
    "Honest",
    "Greedy",
    "Twice",
    "TwiceQuietly",
    "Taker",
    "Silent",
    "Relayed",
    "Forged",
    "Negative",
    "Disguised",
)
LENDER_MODES = (
    "Honest",
    "OtherInitiator",
    "OtherAsset",
    "OtherAmount",
    "Forged",
    "Twice",
    "Silent",
    "Forgiving",
    "Usurer",
    "Disguised",
)
SWAP_TERMS = bytes(20) + (2**256 - 1).to_bytes(32)
"""What a swap callback would be handed if it could be forged: no token, no limit."""


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return scene_of(stage)


def behave(stage: Stage, contract: Contract, mode: str) -> None:
    modes = POOL_MODES if contract.artifact.name == "HostilePool" else LENDER_MODES
    stage.do(contract, "behave", modes.index(mode))


def test_nobody_can_call_the_swap_callback(stage: Stage, scene: Scene) -> None:
    data = stage.executor.encode("uniswapV3SwapCallback", 1, -1, SWAP_TERMS)
    for caller in (stage.stranger, stage.owner, stage.operator, scene.pool.address):
        found = stage.revert_of(data, sender=caller)
        assert found == f"UnexpectedCallback(caller={caller})"


def test_nobody_can_call_the_flash_loan_callback(stage: Stage, scene: Scene) -> None:
    for initiator in (stage.executor.address, stage.stranger):
        data = stage.executor.encode(
            "executeOperation", scene.debt.address, 1, 0, initiator, SWAP_TERMS
        )
        for caller in (stage.stranger, stage.operator, scene.lender.address):
            found = stage.revert_of(data, sender=caller)
            assert found == f"UnexpectedCallback(caller={caller})"


def test_a_loan_taken_by_a_stranger_in_the_name_of_the_executor_is_refused(
    stage: Stage, scene: Scene
) -> None:
    data = scene.lender.encode(
        "flashLoanSimple", stage.executor.address, scene.debt.address, 1, b"", 0
    )
    found = stage.revert_of(data, sender=stage.stranger, to=scene.lender.address)
    assert found == f"UnexpectedCallback(caller={scene.lender.address})"


def test_a_pool_cannot_call_back_again_after_the_program(stage: Stage, scene: Scene) -> None:
    stage.run(scene.program())
    stage.do(scene.collateral, "mint", stage.executor.address, LOAN)
    data = scene.pool.encode("strike", stage.executor.address, 1, -1, SWAP_TERMS)
    found = stage.revert_of(data, sender=stage.stranger, to=scene.pool.address)
    assert found == f"UnexpectedCallback(caller={scene.pool.address})"


@pytest.mark.parametrize("mode", ["Twice", "Relayed", "Forged", "Disguised"])
def test_a_pool_that_calls_back_out_of_context_undoes_the_program(
    stage: Stage, scene: Scene, mode: str
) -> None:
    behave(stage, scene.pool, mode)
    caller = read(stage.rpc, scene.pool, "accomplice") if mode == "Relayed" else scene.pool.address
    assert stage.refusal(scene.program()) == f"UnexpectedCallback(caller={caller})"


def test_a_pool_that_swallows_the_refusal_of_its_second_callback_gains_nothing(
    stage: Stage, scene: Scene
) -> None:
    behave(stage, scene.pool, "TwiceQuietly")
    stage.run(scene.program())
    assert read(stage.rpc, scene.pool, "refusals") == 1
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_a_pool_that_asks_for_more_than_the_limit_is_refused(stage: Stage, scene: Scene) -> None:
    behave(stage, scene.pool, "Greedy")
    owed = LOAN + LOAN // 1000
    leg = replace(scene.repay_leg(), limit=owed)
    program = scene.program(scene.flash(scene.liquidation(), leg))
    assert stage.refusal(program) == f"PaymentAboveLimit(asked={owed + 1}, limit={owed})"


def test_a_pool_that_asks_for_more_than_an_exact_input_is_refused(
    stage: Stage, scene: Scene
) -> None:
    behave(stage, scene.pool, "Greedy")
    leg = replace(scene.repay_leg(), amount=LOAN, limit=None)
    program = scene.program(scene.flash(scene.liquidation(), leg))
    assert stage.refusal(program) == f"PaymentAboveLimit(asked={LOAN + 1}, limit={LOAN})"


def test_a_pool_that_names_no_amount_as_owed_is_refused(stage: Stage, scene: Scene) -> None:
    behave(stage, scene.pool, "Negative")
    found = stage.refusal(scene.program())
    assert found == f"PaymentAboveLimit(asked={2**256 - 1}, limit={2 * LOAN})"


def test_a_pool_that_takes_and_does_not_pay_leaves_the_loan_unpaid_and_all_undone(
    stage: Stage, scene: Scene
) -> None:
    behave(stage, scene.pool, "Taker")
    stage.refusal(scene.program())
    assert stage.holding(scene.collateral, RECIPIENT) == 0


def test_a_pool_that_takes_the_profit_leg_trips_the_minimum(stage: Stage, scene: Scene) -> None:
    other = stage.deploy("HostilePool", scene.debt.address, scene.collateral.address)
    behave(stage, other, "Taker")
    sell = replace(scene.repay_leg(), pool=other.address, amount=GAIN, limit=None)
    flash = scene.flash(scene.liquidation(), scene.repay_leg())
    program = replace(scene.program(flash, sell, min_profit=1), profit_token=scene.debt.address)
    assert stage.refusal(program) == "ProfitBelowMinimum(profit=0, minimum=1)"


def test_a_pool_that_never_calls_back_is_refused(stage: Stage, scene: Scene) -> None:
    behave(stage, scene.pool, "Silent")
    assert stage.refusal(scene.program()) == f"CallbackMissing(callee={scene.pool.address})"


@pytest.mark.parametrize(
    "mode", ["OtherInitiator", "OtherAsset", "OtherAmount", "Forged", "Twice", "Disguised"]
)
def test_a_lender_that_calls_back_out_of_context_undoes_the_program(
    stage: Stage, scene: Scene, mode: str
) -> None:
    behave(stage, scene.lender, mode)
    found = stage.refusal(scene.program())
    assert found == f"UnexpectedCallback(caller={scene.lender.address})"


def test_a_lender_that_never_calls_back_is_refused(stage: Stage, scene: Scene) -> None:
    behave(stage, scene.lender, "Silent")
    assert stage.refusal(scene.program()) == f"CallbackMissing(callee={scene.lender.address})"


def test_a_lender_that_does_not_collect_keeps_no_allowance(stage: Stage, scene: Scene) -> None:
    behave(stage, scene.lender, "Forgiving")
    stage.run(scene.program())
    assert stage.holding(scene.debt, RECIPIENT) == LOAN + LOAN // 1000
    stage.assert_clean(*scene.contracts())


def test_a_lender_that_asks_for_a_ruinous_premium_trips_the_minimum(
    stage: Stage, scene: Scene
) -> None:
    behave(stage, scene.lender, "Usurer")
    found = stage.refusal(scene.program(min_profit=1))
    assert found == "ProfitBelowMinimum(profit=0, minimum=1)"


def test_a_hook_that_insists_on_calling_back_undoes_the_program(stage: Stage) -> None:
    scene = scene_of(stage, collateral="ReentrantToken")
    attack = stage.executor.encode("uniswapV3SwapCallback", 1, -1, SWAP_TERMS)
    stage.do(scene.collateral, "arm", stage.executor.address, attack, True)
    # The first transfer is inside the liquidation, so the refusal is its reason to fail.
    refusal = selector_of("UnexpectedCallback") + "00" * 12 + scene.collateral.address[2:]
    expected = f"CallFailed(target={scene.bargain.address}, reason=0x{refusal})"
    assert stage.refusal(scene.program()) == expected


@pytest.mark.parametrize("side", ["debt", "collateral"])
def test_a_token_that_calls_everything_on_each_transfer_changes_nothing(
    stage: Stage, side: str
) -> None:
    scene = scene_of(stage, **{side: "ReentrantToken"})
    token: Contract = getattr(scene, side)
    attacks = (
        encode(scene.program()),
        stage.executor.encode("uniswapV3SwapCallback", 1, 1, SWAP_TERMS),
        stage.executor.encode(
            "executeOperation", scene.debt.address, LOAN, 0, stage.executor.address, SWAP_TERMS
        ),
        stage.executor.encode("rescue", scene.debt.address, stage.stranger, 1),
        stage.executor.encode("addOperator", stage.stranger),
    )
    for count, attack in enumerate(attacks, start=1):
        stage.do(token, "arm", stage.executor.address, attack, False)
        before = read(stage.rpc, token, "attempts")
        stage.run(scene.program())
        assert read(stage.rpc, token, "attempts") > before
        assert read(stage.rpc, token, "successes") == 0
        assert stage.holding(scene.collateral, RECIPIENT) == count * GAIN
        stage.assert_clean(*scene.contracts())


def test_a_token_that_swaps_in_the_same_pool_in_between_is_not_paid_for(
    stage: Stage,
) -> None:
    scene = scene_of(stage, debt="ReentrantToken")
    attack = scene.pool.encode("strike", stage.executor.address, LOAN, LOAN, SWAP_TERMS)
    stage.do(scene.debt, "arm", scene.pool.address, attack, False)
    stage.run(scene.program())
    assert read(stage.rpc, scene.debt, "attempts") > 0
    assert read(stage.rpc, scene.debt, "successes") == 0
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_an_operator_cannot_start_a_program_inside_a_program(stage: Stage, scene: Scene) -> None:
    operator = stage.deploy("HostileOperator")
    stage.do(stage.executor, "addOperator", operator.address)
    data = operator.encode("run", stage.executor.address, encode(scene.program()), 10)
    body = {"from": stage.stranger, "to": operator.address, "data": "0x" + data.hex()}
    trace = stage.rpc.call(
        "debug_traceCall", body | {"value": hex(10)}, "latest", {"tracer": "callTracer"}
    )
    assert selector_of_deepest_revert(trace) == "0x" + selector_of("Reentered")
    found = stage.revert_of(data, sender=stage.stranger, to=operator.address, value=10)
    assert found == f"NativeTransferFailed(to={operator.address}, amount=10)"


def selector_of(error: str) -> str:
    return next(chosen for chosen, shape in ERRORS.items() if shape.name == error)


def selector_of_deepest_revert(trace: dict) -> str:
    while failed := [call for call in trace.get("calls", ()) if "error" in call]:
        trace = failed[-1]
    return trace["output"][:10]
