"""Who may do what with the executor, and what it is without being deployed."""

import pytest

from keeper.core.units import ZERO_ADDRESS
from keeper.devnet.sender import read
from keeper.evm.program import OPERATOR_SLOT, OWNER_SLOT, RECIPIENT_SLOT
from keeper.evm.program_encoder import encode
from tests.support.executor_scene import GAIN, LOAN, scene_of
from tests.support.executor_stage import RECIPIENT, Stage, deploy, executor_artifact, runtime_code


def test_only_the_operator_runs_programs(stage: Stage) -> None:
    data = encode(scene_of(stage).program())
    for caller in (stage.owner, stage.stranger, RECIPIENT):
        assert stage.revert_of(data, sender=caller) == f"NotOperator(caller={caller})"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("setOperator", (RECIPIENT,)),
        ("setRecipient", (RECIPIENT,)),
        ("transferOwnership", (RECIPIENT,)),
        ("rescue", (ZERO_ADDRESS, RECIPIENT, 0)),
    ],
)
def test_only_the_owner_governs(stage: Stage, function: str, arguments: tuple) -> None:
    data = stage.executor.encode(function, *arguments)
    for caller in (stage.operator, stage.stranger):
        assert stage.revert_of(data, sender=caller) == f"NotOwner(caller={caller})"
    assert stage.answer(data, sender=stage.owner) == 0


def test_a_rotated_operator_takes_over_and_the_old_one_is_refused(stage: Stage) -> None:
    data = encode(scene_of(stage).program())
    stage.do(stage.executor, "setOperator", stage.stranger)
    assert stage.revert_of(data) == f"NotOperator(caller={stage.operator})"
    assert stage.send(stage.executor.address, data, sender=stage.stranger).succeeded


def test_an_operator_of_zero_disarms(stage: Stage) -> None:
    stage.do(stage.executor, "setOperator", ZERO_ADDRESS)
    data = encode(scene_of(stage).program())
    assert stage.revert_of(data) == f"NotOperator(caller={stage.operator})"


def test_a_new_recipient_gets_the_next_profit(stage: Stage) -> None:
    scene = scene_of(stage)
    stage.do(stage.executor, "setRecipient", stage.stranger)
    stage.run(scene.program())
    assert stage.holding(scene.collateral, stage.stranger) == GAIN


def test_the_recipient_is_neither_zero_nor_the_executor(stage: Stage) -> None:
    for refused in (ZERO_ADDRESS, stage.executor.address):
        data = stage.executor.encode("setRecipient", refused)
        found = stage.revert_of(data, sender=stage.owner)
        assert found == f"InvalidAddress(given={refused})"


def test_ownership_moves_only_when_the_offer_is_accepted(stage: Stage) -> None:
    accept = stage.executor.encode("acceptOwnership")
    stage.do(stage.executor, "transferOwnership", stage.stranger)
    assert read(stage.rpc, stage.executor, "owner") == stage.owner
    found = stage.revert_of(accept, sender=stage.operator)
    assert found == f"NotOwner(caller={stage.operator})"
    stage.do(stage.executor, "acceptOwnership", sender=stage.stranger)
    assert read(stage.rpc, stage.executor, "owner") == stage.stranger
    assert read(stage.rpc, stage.executor, "pendingOwner") == ZERO_ADDRESS
    data = stage.executor.encode("setOperator", stage.owner)
    assert stage.revert_of(data, sender=stage.owner) == f"NotOwner(caller={stage.owner})"


def test_a_withdrawn_offer_cannot_be_accepted(stage: Stage) -> None:
    stage.do(stage.executor, "transferOwnership", stage.stranger)
    stage.do(stage.executor, "transferOwnership", ZERO_ADDRESS)
    found = stage.revert_of(stage.executor.encode("acceptOwnership"), sender=stage.stranger)
    assert found == f"NotOwner(caller={stage.stranger})"


def test_the_owner_rescues_tokens_and_native_coin(stage: Stage) -> None:
    token = stage.token("SilentToken")
    stage.do(token, "mint", stage.executor.address, LOAN)
    stage.do(stage.executor, "rescue", token.address, RECIPIENT, LOAN)
    assert stage.holding(token, RECIPIENT) == LOAN
    stage.rpc.call("anvil_setBalance", stage.executor.address, hex(5))
    before = stage.native(RECIPIENT)
    stage.do(stage.executor, "rescue", ZERO_ADDRESS, RECIPIENT, 5)
    assert stage.native(RECIPIENT) == before + 5
    stage.assert_clean(token)


def test_nothing_is_rescued_to_nowhere(stage: Stage) -> None:
    data = stage.executor.encode("rescue", ZERO_ADDRESS, ZERO_ADDRESS, 0)
    found = stage.revert_of(data, sender=stage.owner)
    assert found == f"InvalidAddress(given={ZERO_ADDRESS})"


def test_native_coin_out_of_the_blue_is_refused(stage: Stage) -> None:
    found = stage.revert_of(b"", sender=stage.stranger, value=1)
    assert found == f"UnexpectedNative(sender={stage.stranger})"


def test_it_is_not_deployed_without_an_owner_or_a_recipient(stage: Stage) -> None:
    for arguments in (
        (ZERO_ADDRESS, stage.operator, RECIPIENT),
        (stage.owner, stage.operator, ZERO_ADDRESS),
    ):
        code = executor_artifact().creation_code(arguments, {})
        body = {"from": stage.owner, "data": "0x" + code.hex()}
        ((_, reply),) = stage.rpc.try_batch([("eth_call", (body, "latest"))])
        assert "error" in reply


def test_the_deployed_code_is_the_artifacts_whatever_the_roles(stage: Stage) -> None:
    other = deploy(
        stage.rpc, stage.owner, executor_artifact(), stage.stranger, ZERO_ADDRESS, stage.owner
    )
    for where in (stage.executor.address, other.address):
        assert stage.rpc.call("eth_getCode", where, "latest") == runtime_code()


def test_roles_live_in_the_slots_that_rehearsals_override(stage: Stage) -> None:
    slots = {
        OWNER_SLOT: stage.owner,
        OPERATOR_SLOT: stage.operator,
        RECIPIENT_SLOT: RECIPIENT,
    }
    for slot, role in slots.items():
        word = stage.rpc.call("eth_getStorageAt", stage.executor.address, hex(slot), "latest")
        assert int(word, 16) == int(role, 16)


def test_an_executor_that_is_not_deployed_can_be_rehearsed(stage: Stage) -> None:
    nowhere, scene = "0x" + "ab" * 20, scene_of(stage)
    state = {
        f"0x{OPERATOR_SLOT:064x}": "0x" + stage.operator[2:].rjust(64, "0"),
        f"0x{RECIPIENT_SLOT:064x}": "0x" + RECIPIENT[2:].rjust(64, "0"),
    }
    data = "0x" + encode(scene.program()).hex()
    found = stage.rpc.call(
        "eth_call",
        {"from": stage.operator, "to": nowhere, "data": data},
        "latest",
        {nowhere: {"code": runtime_code(), "stateDiff": state}},
    )
    assert int(found, 16) == GAIN
