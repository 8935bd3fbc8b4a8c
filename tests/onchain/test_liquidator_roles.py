"""Who may do what with the executor, and what it is without being deployed."""

import pytest

from keeper.core.units import ZERO_ADDRESS
from keeper.devnet.sender import read
from keeper.evm.hashing import keccak256
from keeper.evm.program import OWNER_SLOT, RECIPIENT_SLOT, operator_slot
from keeper.evm.program_encoder import encode
from tests.support.executor_scene import GAIN, LOAN, scene_of
from tests.support.executor_stage import (
    PROPOSER,
    RECIPIENT,
    Stage,
    deploy,
    executor_artifact,
    runtime_code,
)


def test_only_operators_run_programs(stage: Stage) -> None:
    data = encode(scene_of(stage).program())
    for caller in (stage.owner, stage.stranger, RECIPIENT):
        assert stage.revert_of(data, sender=caller) == f"NotOperator(caller={caller})"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("addOperator", (RECIPIENT,)),
        ("disarm", ()),
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


def operators(stage: Stage) -> list[str]:
    return list(read(stage.rpc, stage.executor, "operators"))


def test_several_operators_run_programs_in_the_same_block(stage: Stage) -> None:
    scene, others = scene_of(stage), (stage.stranger, PROPOSER)
    for other in others:
        stage.do(stage.executor, "addOperator", other)
    stage.rpc.call("anvil_impersonateAccount", PROPOSER)
    stage.rpc.call("anvil_setBalance", PROPOSER, hex(10**18))
    who = [stage.operator, *others]
    assert operators(stage) == who
    hashes = [
        stage.rpc.call(
            "eth_sendTransaction",
            {
                "from": one,
                "to": stage.executor.address,
                "data": "0x" + encode(scene.program()).hex(),
                "gas": hex(1_000_000),
            },
        )
        for one in who
    ]
    stage.rpc.call("evm_mine")
    receipts = [stage.rpc.call("eth_getTransactionReceipt", one) for one in hashes]
    assert [one["status"] for one in receipts] == ["0x1"] * 3
    assert len({one["blockNumber"] for one in receipts}) == 1
    assert stage.holding(scene.collateral, RECIPIENT) == 3 * GAIN
    stage.assert_clean(*scene.contracts())


def test_an_operator_that_is_taken_off_is_refused_and_the_others_stay(stage: Stage) -> None:
    data = encode(scene_of(stage).program())
    for other in (stage.stranger, stage.owner):
        stage.do(stage.executor, "addOperator", other)
    stage.do(stage.executor, "removeOperator", stage.operator)
    assert sorted(operators(stage)) == sorted((stage.stranger, stage.owner))
    assert stage.revert_of(data) == f"NotOperator(caller={stage.operator})"
    stage.do(stage.executor, "removeOperator", stage.stranger)
    assert stage.revert_of(data, sender=stage.stranger) == f"NotOperator(caller={stage.stranger})"
    assert stage.send(stage.executor.address, data, sender=stage.owner).succeeded
    assert operators(stage) == [stage.owner]


def test_each_change_of_the_operators_is_an_event(stage: Stage) -> None:
    stage.do(stage.executor, "addOperator", stage.stranger)
    stage.do(stage.executor, "removeOperator", stage.operator)
    stage.do(stage.executor, "disarm")
    names = {
        "0x" + keccak256(f"Operator{done}(address)".encode()).hex(): done
        for done in ("Added", "Removed")
    }
    logs = stage.rpc.call(
        "eth_getLogs", {"address": stage.executor.address, "fromBlock": "0x0", "toBlock": "latest"}
    )
    told = [
        (names[log["topics"][0]], "0x" + log["topics"][1][26:])
        for log in logs
        if log["topics"][0] in names
    ]
    assert told == [
        ("Added", stage.operator),
        ("Added", stage.stranger),
        ("Removed", stage.operator),
        ("Removed", stage.stranger),
    ]


def test_an_operator_is_somebody_and_listed_once(stage: Stage) -> None:
    for function, refused in (
        ("addOperator", ZERO_ADDRESS),
        ("addOperator", stage.operator),
        ("removeOperator", stage.stranger),
        ("removeOperator", ZERO_ADDRESS),
    ):
        data = stage.executor.encode(function, refused)
        found = stage.revert_of(data, sender=stage.owner)
        assert found == f"InvalidAddress(given={refused})"


def test_disarming_takes_every_operator_off(stage: Stage) -> None:
    stage.do(stage.executor, "addOperator", stage.stranger)
    stage.do(stage.executor, "disarm")
    data = encode(scene_of(stage).program())
    assert operators(stage) == []
    for one in (stage.operator, stage.stranger, ZERO_ADDRESS):
        assert stage.revert_of(data, sender=one) == f"NotOperator(caller={one})"
    stage.do(stage.executor, "addOperator", stage.operator)
    assert operators(stage) == [stage.operator]
    assert stage.send(stage.executor.address, data, sender=stage.operator).succeeded


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
    data = stage.executor.encode("addOperator", stage.owner)
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
        (ZERO_ADDRESS, [stage.operator], RECIPIENT),
        (stage.owner, [stage.operator], ZERO_ADDRESS),
        (stage.owner, [stage.operator] * 2, RECIPIENT),
    ):
        code = executor_artifact().creation_code(arguments, {})
        body = {"from": stage.owner, "data": "0x" + code.hex()}
        ((_, reply),) = stage.rpc.try_batch([("eth_call", (body, "latest"))])
        assert "error" in reply


def test_the_deployed_code_is_the_artifacts_whatever_the_roles(stage: Stage) -> None:
    other = deploy(stage.rpc, stage.owner, executor_artifact(), stage.stranger, [], stage.owner)
    for where in (stage.executor.address, other.address):
        assert stage.rpc.call("eth_getCode", where, "latest") == runtime_code()


def test_roles_live_in_the_slots_that_rehearsals_override(stage: Stage) -> None:
    slots = {
        OWNER_SLOT: int(stage.owner, 16),
        operator_slot(stage.operator): 1,
        operator_slot(stage.stranger): 0,
        RECIPIENT_SLOT: int(RECIPIENT, 16),
    }
    for slot, expected in slots.items():
        word = stage.rpc.call("eth_getStorageAt", stage.executor.address, hex(slot), "latest")
        assert int(word, 16) == expected


def test_an_executor_that_is_not_deployed_can_be_rehearsed(stage: Stage) -> None:
    nowhere, scene = "0x" + "ab" * 20, scene_of(stage)
    state = {
        f"0x{operator_slot(stage.operator):064x}": f"0x{1:064x}",
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
