"""Odd tokens: what works with them works, what does not is undone as a whole."""

import pytest

from keeper.core.values import replace
from keeper.evm.program import Approval, Swap
from tests.support.executor_scene import FEE, GAIN, LOAN, scene_of
from tests.support.executor_stage import RECIPIENT, Stage


@pytest.mark.parametrize("side", ["debt", "collateral"])
def test_a_token_without_return_values_works_on_either_side(stage: Stage, side: str) -> None:
    scene = scene_of(stage, **{side: "SilentToken"})
    stage.run(scene.program())
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_a_token_that_wants_its_allowance_zeroed_first_can_be_approved_again(
    stage: Stage,
) -> None:
    scene = scene_of(stage, debt="SilentToken")
    generous = Approval(token=scene.debt.address, spender=scene.bargain.address, amount=3 * LOAN)
    half = replace(scene.liquidation(LOAN // 2), approval=generous)
    stage.run(scene.program(scene.flash(half, half, scene.repay_leg())))
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_a_false_answer_to_a_transfer_undoes_the_program(stage: Stage) -> None:
    scene = scene_of(stage, collateral="FalseToken")
    stage.do(scene.collateral, "refuse", stage.executor.address)
    expected = f"TokenCallFailed(token={scene.collateral.address})"
    assert stage.refusal(scene.program()) == expected


def test_a_false_answer_to_the_final_sweep_undoes_the_program(stage: Stage) -> None:
    scene = scene_of(stage, collateral="FalseToken")
    stage.do(scene.collateral, "refuse", stage.executor.address)
    # Nothing is owed, so no swap moves the collateral before the sweep does.
    stage.do(scene.debt, "mint", stage.executor.address, 2 * LOAN)
    expected = f"TokenCallFailed(token={scene.collateral.address})"
    assert stage.refusal(scene.program()) == expected
    assert stage.holding(scene.debt, stage.executor) == 2 * LOAN


def test_a_false_answer_to_an_approval_undoes_the_program(stage: Stage) -> None:
    scene = scene_of(stage, debt="UnapprovableToken")
    expected = f"TokenCallFailed(token={scene.debt.address})"
    assert stage.refusal(scene.program()) == expected


def test_an_address_without_code_does_not_pass_for_a_token(stage: Stage) -> None:
    scene = scene_of(stage)
    nowhere = Approval(token=stage.stranger, spender=scene.bargain.address, amount=1)
    program = scene.program(replace(scene.liquidation(), approval=nowhere))
    assert stage.refusal(program) == f"TokenCallFailed(token={stage.stranger})"


def test_a_fee_on_the_profit_token_counts_against_the_minimum(stage: Stage) -> None:
    scene = scene_of(stage, collateral="FeeToken")
    program = replace(scene.program(), min_profit=GAIN)
    stage.do(scene.debt, "mint", stage.executor.address, LOAN + FEE)
    stage.do(scene.collateral, "setFee", 100)
    arrives = 2 * LOAN * 99 // 100
    arrives = arrives * 99 // 100
    expected = f"ProfitBelowMinimum(profit={arrives}, minimum={arrives + 1})"
    assert stage.refusal(replace(program, min_profit=arrives + 1)) == expected
    stage.run(replace(program, min_profit=arrives))
    assert stage.holding(scene.collateral, RECIPIENT) == arrives
    stage.assert_clean(*scene.contracts())


def test_a_fee_on_the_borrowed_token_leaves_the_loan_unpaid_and_all_undone(stage: Stage) -> None:
    scene = scene_of(stage, debt="FeeToken")
    stage.do(scene.debt, "setFee", 100)
    stage.refusal(scene.program(min_profit=0))
    assert stage.holding(scene.debt, scene.lender) == 100 * LOAN
    assert stage.holding(scene.collateral, RECIPIENT) == 0


def test_a_token_that_answers_at_length_is_read_only_as_far_as_needed(stage: Stage) -> None:
    scene = scene_of(stage, collateral="VerboseToken")
    stage.run(scene.program())
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_dust_of_every_token_of_the_program_is_swept(stage: Stage) -> None:
    scene, dust = scene_of(stage), stage.token()
    for token in (scene.debt, scene.collateral, dust):
        stage.do(token, "mint", stage.executor.address, 7)
    # What is owed is less by the dust of the debt asset, so the swap sells less by as much.
    stage.run(replace(scene.program(), sweep=(dust.address,)))
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN + 7 + 7
    assert stage.holding(dust, RECIPIENT) == 7
    stage.assert_clean(*scene.contracts(), dust)


def test_a_swap_of_more_than_is_held_is_refused(stage: Stage) -> None:
    scene = scene_of(stage)
    sell = Swap(
        pool=scene.pool.address,
        token_in=scene.collateral.address,
        token_out=scene.debt.address,
        amount=1,
    )
    expected = f"TokenCallFailed(token={scene.collateral.address})"
    assert stage.refusal(scene.program(sell)) == expected
