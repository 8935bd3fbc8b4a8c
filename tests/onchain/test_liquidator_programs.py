"""What a well-meant program does, against small contracts of ours."""

import pytest

from keeper.core.values import replace
from keeper.devnet.contract import selector
from keeper.devnet.sender import read
from keeper.evm.hashing import keccak256
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Known,
    Swap,
    Tip,
    call_parts,
)
from keeper.evm.program_encoder import encode
from tests.support.executor_scene import FEE, GAIN, LOAN, Scene, scene_of
from tests.support.executor_stage import PROPOSER, RECIPIENT, Stage


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return scene_of(stage)


def test_a_flash_liquidation_leaves_the_gain_at_the_recipient_and_nothing_behind(
    stage: Stage, scene: Scene
) -> None:
    assert stage.profit_of(scene.program()) == GAIN
    stage.run(scene.program())
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    assert stage.holding(scene.debt, scene.lender) == 100 * LOAN + FEE
    stage.assert_clean(*scene.contracts())


def test_an_exact_input_of_the_whole_balance_leaves_the_gain_in_the_debt_asset(
    stage: Stage, scene: Scene
) -> None:
    sell = replace(scene.repay_leg(), amount=BalanceOf(token=scene.collateral.address), limit=None)
    program = replace(
        scene.program(scene.flash(scene.liquidation(), sell)), profit_token=scene.debt.address
    )
    stage.run(program)
    assert stage.holding(scene.debt, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_a_swap_can_fund_the_liquidation_itself(stage: Stage, scene: Scene) -> None:
    buy = replace(scene.repay_leg(), amount=LOAN, limit=2 * LOAN, inner=(scene.liquidation(),))
    stage.run(scene.program(buy, min_profit=LOAN))
    assert stage.holding(scene.collateral, RECIPIENT) == LOAN
    stage.assert_clean(*scene.contracts())


def test_two_liquidations_share_one_loan(stage: Stage, scene: Scene) -> None:
    first, second = scene.liquidation(LOAN // 4), scene.liquidation(3 * LOAN // 4)
    stage.run(scene.program(scene.flash(first, second, scene.repay_leg())))
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_an_exact_output_crosses_two_pools_by_nesting(stage: Stage, scene: Scene) -> None:
    middle = stage.token()
    pools = [
        stage.deploy("HostilePool", middle.address, token.address)
        for token in (scene.debt, scene.collateral)
    ]
    for pool, token in zip(pools, (scene.debt, scene.collateral), strict=True):
        stage.do(token, "mint", pool.address, 2 * LOAN)
        stage.do(middle, "mint", pool.address, 2 * LOAN)
    first_hop = replace(scene.repay_leg(), pool=pools[1].address, token_out=middle.address)
    last_hop = Swap(
        pool=pools[0].address,
        token_in=middle.address,
        token_out=scene.debt.address,
        amount=Known.OWED,
        limit=2 * LOAN,
        inner=(first_hop,),
    )
    stage.run(scene.program(scene.flash(scene.liquidation(), last_hop)))
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts(), middle, *pools)


def test_a_swap_is_skipped_when_nothing_is_owed(stage: Stage, scene: Scene) -> None:
    stage.do(scene.debt, "mint", stage.executor.address, 5 * LOAN)
    stage.run(scene.program(min_profit=2 * LOAN))
    assert stage.holding(scene.collateral, RECIPIENT) == 2 * LOAN
    assert stage.holding(scene.debt, RECIPIENT) == 5 * LOAN - LOAN - FEE
    stage.assert_clean(*scene.contracts())


def test_nothing_is_owed_outside_a_callback(stage: Stage, scene: Scene) -> None:
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    stage.run(scene.program(scene.liquidation(), scene.repay_leg(), min_profit=2 * LOAN))
    assert stage.holding(scene.collateral, RECIPIENT) == 2 * LOAN


def test_an_optional_call_that_fails_is_left_out_and_the_rest_goes_on(
    stage: Stage, scene: Scene
) -> None:
    late = replace(scene.liquidation(13), optional=True)
    program = scene.program(scene.flash(late, scene.liquidation(), late, scene.repay_leg()))
    stage.run(program)
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())
    skipped = keccak256(b"CallSkipped(address,bytes)").hex()
    logs = stage.rpc.call("eth_getLogs", {"address": stage.executor.address})
    assert [log["topics"] for log in logs if log["topics"][0] == f"0x{skipped}"] == [
        [f"0x{skipped}", "0x" + scene.bargain.address[2:].rjust(64, "0")]
    ] * 2


def test_of_a_batch_of_optional_calls_only_what_is_used_is_owed(stage: Stage, scene: Scene) -> None:
    late, done = replace(scene.liquidation(13), optional=True), scene.liquidation()
    batch = scene.flash(late, done, scene.repay_leg(), amount=LOAN + 13)
    fee = (LOAN + 13) // 1000
    stage.run(scene.program(batch, min_profit=LOAN - fee))
    assert stage.holding(scene.collateral, RECIPIENT) == LOAN - fee


def test_an_approval_that_is_not_used_up_is_revoked(stage: Stage, scene: Scene) -> None:
    generous = Approval(token=scene.debt.address, spender=scene.bargain.address, amount=2**256 - 1)
    twice = replace(scene.liquidation(LOAN // 2), approval=generous)
    stage.run(scene.program(scene.flash(twice, twice, scene.repay_leg())))
    stage.assert_clean(*scene.contracts())


def test_calldata_arrives_as_assembled_from_operands_and_raw_bytes(
    stage: Stage, scene: Scene
) -> None:
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    tail = bytes(range(1, 100))
    call = replace(
        scene.liquidation(),
        parts=(
            scene.debt.address,
            BalanceOf(token=scene.debt.address),
            bytes(12) + bytes.fromhex(scene.collateral.address[2:]),
            Known.EXECUTOR,
            2**255,
            0,
            tail,
        ),
    )
    stage.run(scene.program(call, min_profit=2 * LOAN))
    words = (int(scene.debt.address, 16), LOAN, int(scene.collateral.address, 16))
    words += (int(stage.executor.address, 16), 2**255, 0)
    expected = call.selector + b"".join(word.to_bytes(32) for word in words) + tail
    assert read(stage.rpc, scene.bargain, "lastCall") == expected


def test_calldata_split_by_call_parts_arrives_unchanged(stage: Stage, scene: Scene) -> None:
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    data = scene.bargain.encode("take", scene.debt.address, LOAN, scene.collateral.address)
    chosen, parts = call_parts(data)
    call = replace(scene.liquidation(), selector=chosen, parts=parts)
    stage.run(replace(scene.program(call, min_profit=2 * LOAN)))
    assert read(stage.rpc, scene.bargain, "lastCall") == data


def test_native_coin_goes_along_and_what_comes_back_is_split(stage: Stage, scene: Scene) -> None:
    stage.send(scene.bargain.address, b"", sender=stage.stranger, value=10**18)
    redeem = Call(
        target=scene.bargain.address,
        selector=selector(scene.bargain.artifact.functions["redeem"]),
        parts=(),
        value=10**17,
    )
    before, profit_before = stage.native(stage.operator), stage.native(RECIPIENT)
    landed = stage.run(scene.program(redeem, min_profit=0), value=10**17)
    assert stage.native(stage.operator) == before - landed.fee
    assert stage.native(RECIPIENT) - profit_before == 10**17
    stage.assert_clean(*scene.contracts())


@pytest.mark.parametrize("shortfall", [0, 1])
def test_the_minimum_profit_is_exact(stage: Stage, scene: Scene, shortfall: int) -> None:
    program = scene.program(min_profit=GAIN + shortfall)
    if shortfall:
        expected = f"ProfitBelowMinimum(profit={GAIN}, minimum={GAIN + 1})"
        assert stage.refusal(program) == expected
        assert stage.holding(scene.collateral, RECIPIENT) == 0
    else:
        stage.run(program)


def test_a_loss_at_the_recipient_is_refused_though_the_minimum_is_zero(
    stage: Stage, scene: Scene
) -> None:
    stage.do(scene.debt, "mint", RECIPIENT, LOAN)
    stage.rpc.call("anvil_impersonateAccount", RECIPIENT)
    stage.rpc.call("anvil_setBalance", RECIPIENT, hex(10**18))
    stage.do(scene.debt, "approve", stage.executor.address, 1, sender=RECIPIENT)
    drain = Call(
        target=scene.debt.address,
        selector=selector(scene.debt.artifact.functions["transferFrom"]),
        parts=(RECIPIENT, scene.lender.address, 1),
    )
    program = replace(scene.program(drain, min_profit=0), profit_token=scene.debt.address)
    assert stage.refusal(program) == "ProfitBelowMinimum(profit=0, minimum=0)"


def test_the_deadline_is_the_last_second_that_is_accepted(stage: Stage, scene: Scene) -> None:
    now = int(stage.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    program = replace(scene.program(), deadline=now + 100)
    stage.rpc.call("evm_setNextBlockTimestamp", now + 101)
    stage.rpc.call("evm_mine")
    expected = f"DeadlinePassed(deadline={now + 100}, timestamp={now + 101})"
    assert stage.revert_of(encode(program)) == expected
    stage.rpc.call("evm_setNextBlockTimestamp", now + 102)
    stage.run(replace(program, deadline=now + 102))


def test_a_tip_from_the_value_sent_is_paid_and_the_rest_returned(
    stage: Stage, scene: Scene
) -> None:
    before, tipped = stage.native(stage.operator), stage.native(PROPOSER)
    program = replace(scene.program(), tip=Tip(amount=10**15, unwrap=None))
    landed = stage.run(program, value=10**16)
    assert stage.native(stage.operator) == before - landed.fee - 10**15
    assert stage.native(PROPOSER) - tipped >= 10**15
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN
    stage.assert_clean(*scene.contracts())


def test_a_tip_out_of_the_profit_is_unwrapped_before_the_minimum_is_checked(stage: Stage) -> None:
    scene = scene_of(stage, collateral="WrappedNative")
    stage.do(scene.collateral, "deposit", value=10 * LOAN)
    tip = Tip(amount=1000, unwrap=scene.collateral.address)
    program = replace(scene.program(min_profit=GAIN - 1000), tip=tip)
    wrapped = stage.native(scene.collateral.address)
    assert stage.profit_of(program) == GAIN - 1000
    stage.run(program)
    assert stage.native(scene.collateral.address) == wrapped - 1000
    assert stage.holding(scene.collateral, RECIPIENT) == GAIN - 1000
    stage.assert_clean(*scene.contracts())
    program = replace(program, min_profit=GAIN - 999)
    assert stage.refusal(program).startswith("ProfitBelowMinimum")


def test_a_proposer_finds_no_token_at_the_executor_when_it_is_paid(
    stage: Stage, scene: Scene
) -> None:
    proposer = stage.deploy("Snoop", scene.collateral.address)
    stage.rpc.call("anvil_setCoinbase", proposer.address)
    stage.run(replace(scene.program(), tip=Tip(amount=5, unwrap=None)), value=5)
    stage.rpc.call("anvil_setCoinbase", PROPOSER)
    assert read(stage.rpc, proposer, "paid") == 5
    assert read(stage.rpc, proposer, "seen") == 0
    stage.assert_clean(*scene.contracts())


def test_a_tip_that_nothing_pays_for_is_refused(stage: Stage, scene: Scene) -> None:
    program = replace(scene.program(), tip=Tip(amount=5, unwrap=None))
    assert stage.refusal(program, value=4) == (f"NativeTransferFailed(to={PROPOSER}, amount=5)")


def test_a_failed_call_names_its_target_and_hands_on_the_reason(stage: Stage, scene: Scene) -> None:
    reason = bytes.fromhex("df44d7e9") + (13).to_bytes(32)
    found = stage.refusal(scene.program(scene.flash(scene.liquidation(13), amount=13)))
    assert found.startswith(f"CallFailed(target={scene.bargain.address}, reason=0x")
    assert found.endswith(reason.hex()[8:] + ")")


def test_a_huge_reason_is_cut(stage: Stage, scene: Scene) -> None:
    rant = Call(
        target=scene.bargain.address,
        selector=selector(scene.bargain.artifact.functions["rant"]),
        parts=(),
    )
    found = stage.refusal(scene.program(rant))
    start = f"CallFailed(target={scene.bargain.address}, reason=0x"
    assert found.startswith(start)
    assert len(found) == len(start) + 2 * 1024 + len(")")


def test_a_call_of_an_address_without_code_is_refused(stage: Stage, scene: Scene) -> None:
    call = replace(scene.liquidation(), target=stage.stranger)
    stage.do(scene.debt, "mint", stage.executor.address, LOAN)
    assert stage.refusal(scene.program(call)) == f"NoCode(target={stage.stranger})"
