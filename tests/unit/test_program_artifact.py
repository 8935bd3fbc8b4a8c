"""The committed artifact is what the sources compile to, and its errors are all readable."""

import json
import subprocess
import sys
from pathlib import Path

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from keeper.core.units import Address
from keeper.evm.artifacts import load_artifact
from keeper.evm.executor_revert import ERRORS, ExecutorRevert, read_revert
from keeper.evm.program_encoder import EXECUTE_SELECTOR

ROOT = Path(__file__).resolve().parents[2]
ABI = json.loads((ROOT / "abis" / "Liquidator.json").read_text(encoding="utf-8"))["abi"]
INVENTORY = json.loads((ROOT / "abis" / "Inventory.json").read_text(encoding="utf-8"))["abi"]
TARGET = Address("0x" + "a1" * 20)
OTHER = Address("0x" + "b2" * 20)


def signature(entry: dict) -> str:
    return f"{entry['name']}({','.join(i['type'] for i in entry['inputs'])})"


def raw(error: str, *arguments: object) -> bytes:
    entry = next(e for e in ABI if e["type"] == "error" and e["name"] == error)
    types = [i["type"] for i in entry["inputs"]]
    return keccak(text=signature(entry))[:4] + abi_encode(types, arguments)


def test_the_artifact_is_what_the_sources_compile_to() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "build_contracts"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_constructor_arguments_are_written_as_the_abi_says() -> None:
    artifact = load_artifact("Liquidator")
    types = [i["type"] for e in ABI if e["type"] == "constructor" for i in e["inputs"]]
    for operators in ((), (TARGET,), (TARGET, OTHER)):
        expected = artifact.bytecode + abi_encode(types, (OTHER, operators, TARGET))
        assert artifact.creation(OTHER, operators, TARGET) == expected


def test_execute_is_called_by_its_selector() -> None:
    assert keccak(text="execute()")[:4] == EXECUTE_SELECTOR


def test_every_error_of_the_contract_is_known_by_selector_and_arguments() -> None:
    declared = {
        keccak(text=signature(e))[:4].hex(): (
            e["name"],
            tuple((i["name"], i["type"]) for i in e["inputs"]),
        )
        for e in (*ABI, *INVENTORY)
        if e["type"] == "error"
    }
    assert {k: (shape.name, shape.arguments) for k, shape in ERRORS.items()} == declared


def test_an_error_of_numbers_reads_as_a_call() -> None:
    found = read_revert(raw("ProfitBelowMinimum", 5, 6))
    assert str(found) == "ProfitBelowMinimum(profit=5, minimum=6)"


def test_a_failed_call_hands_on_its_target_and_reason() -> None:
    found = read_revert(raw("CallFailed", TARGET, b"\x01\x02\x03"))
    assert found == ExecutorRevert(
        name="CallFailed", arguments={"target": TARGET, "reason": b"\x01\x02\x03"}
    )
    assert found.inner == b"\x01\x02\x03"
    assert str(found) == f"CallFailed(target={TARGET}, reason=0x010203)"


def test_an_error_of_another_contract_is_not_claimed() -> None:
    assert read_revert(keccak(text="Error(string)")[:4] + abi_encode(["string"], ["45"])) is None


def test_an_error_that_is_cut_short_is_not_claimed() -> None:
    assert read_revert(raw("ProfitBelowMinimum", 5, 6)[:-1]) is None
