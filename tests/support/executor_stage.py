"""A node with the on-chain executor on it, and everything the executor's tests do with them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.core.units import Address, address
from keeper.devnet.compile_cache import Program as Compilation
from keeper.devnet.compile_cache import ensure_compiled
from keeper.devnet.contract import Artifact, Contract, create_address, load_artifact
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import read
from keeper.devnet.solc import Settings
from keeper.evm.executor_revert import ExecutorRevert, read_revert
from keeper.evm.program import Program
from keeper.evm.program_encoder import encode

ROOT = Path(__file__).resolve().parents[2]
RECIPIENT = Address("0x" + "7e" * 20)
PROPOSER = Address("0x" + "c0" * 20)
FAR_FUTURE = 2**40 - 1
_GAS = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What a transaction came to."""

    succeeded: bool
    gas_used: int
    fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An executor owned, operated and paid out to by three different accounts."""

    rpc: Rpc
    artifacts: Mapping[str, Artifact]
    owner: Address
    operator: Address
    stranger: Address
    executor: Contract

    def deploy(self, name: str, *arguments: object) -> Contract:
        """Deploy one of the compiled contracts."""
        return deploy(self.rpc, self.owner, self.artifacts[name], *arguments)

    def token(self, name: str = "Token") -> Contract:
        """Deploy one of the compiled tokens."""
        return self.deploy(name)

    def do(
        self,
        contract: Contract,
        function: str,
        *arguments: object,
        sender: Address | None = None,
        value: int = 0,
    ) -> Landed:
        """Send a transaction that must succeed."""
        landed = self.send(
            contract.address,
            contract.encode(function, *arguments),
            sender=sender or self.owner,
            value=value,
        )
        assert landed.succeeded, f"{contract.artifact.name}.{function} reverted"
        return landed

    def send(self, to: Address, data: bytes, *, sender: Address, value: int = 0) -> Landed:
        """Send a transaction and return what it came to."""
        receipt = mine(self.rpc, self._body(to, data, sender=sender, value=value))
        gas_used = int(receipt["gasUsed"], 16)
        return Landed(
            succeeded=receipt["status"] == "0x1",
            gas_used=gas_used,
            fee=gas_used * int(receipt["effectiveGasPrice"], 16),
        )

    def run(self, program: Program, *, value: int = 0) -> Landed:
        """Run a program that must succeed."""
        landed = self.send(
            self.executor.address, encode(program), sender=self.operator, value=value
        )
        assert landed.succeeded, str(self.revert_of(encode(program), value=value))
        return landed

    def refusal(self, program: Program | bytes, *, value: int = 0) -> str:
        """Run a program that must fail, and return the error of the executor that undid it."""
        data = program if isinstance(program, bytes) else encode(program)
        found = self.revert_of(data, value=value)
        assert not self.send(
            self.executor.address, data, sender=self.operator, value=value
        ).succeeded
        return found

    def revert_of(
        self,
        data: bytes,
        *,
        sender: Address | None = None,
        value: int = 0,
        to: Address | None = None,
    ) -> str:
        """Return what a call reverts with: an error of the executor in words, else raw hex."""
        raw = self.answer(data, sender=sender, value=value, to=to)
        assert isinstance(raw, ExecutorRevert | bytes), "expected a revert, found success"
        return str(raw) if isinstance(raw, ExecutorRevert) else "0x" + raw.hex()

    def profit_of(self, program: Program, *, value: int = 0) -> int:
        """Return the profit that a rehearsal of the program reports."""
        answer = self.answer(encode(program), value=value)
        assert isinstance(answer, int), str(answer)
        return answer

    def answer(
        self,
        data: bytes,
        *,
        sender: Address | None = None,
        value: int = 0,
        to: Address | None = None,
    ) -> int | ExecutorRevert | bytes:
        """Return the number that a call answers, or what it reverts with."""
        body = self._body(
            to or self.executor.address, data, sender=sender or self.operator, value=value
        )
        ((_, reply),) = self.rpc.try_batch([("eth_call", (body, "latest"))])
        if "result" in reply:
            return int(reply["result"].removeprefix("0x") or "0", 16)
        raw = bytes.fromhex(reply["error"].get("data", "0x").removeprefix("0x"))
        return read_revert(raw) or raw

    def holding(self, token: Contract, account: Address | Contract) -> int:
        """Return a balance."""
        where = account.address if isinstance(account, Contract) else account
        return int(read(self.rpc, token, "balanceOf", where))

    def native(self, account: Address) -> int:
        """Return a balance in wei."""
        return int(self.rpc.call("eth_getBalance", account, "latest"), 16)

    def assert_clean(self, *contracts: Contract) -> None:
        """Fail unless the executor holds nothing and no contract may spend anything of it."""
        tokens = [c for c in contracts if "allowance" in c.artifact.functions]
        assert self.native(self.executor.address) == 0
        for token in tokens:
            assert self.holding(token, self.executor) == 0
            for spender in contracts:
                allowed = read(self.rpc, token, "allowance", self.executor.address, spender.address)
                assert allowed == 0, f"{spender.artifact.name} may spend {allowed}"

    def _body(self, to: Address, data: bytes, *, sender: Address, value: int) -> dict[str, str]:
        return {
            "from": sender,
            "to": to,
            "data": "0x" + data.hex(),
            "value": hex(value),
            "gas": hex(_GAS),
        }


def deploy(rpc: Rpc, sender: Address, artifact: Artifact, *arguments: object) -> Contract:
    """Deploy a contract from an unlocked account."""
    nonce = int(rpc.call("eth_getTransactionCount", sender, "latest"), 16)
    code = artifact.creation_code(arguments, {})
    receipt = mine(rpc, {"from": sender, "data": "0x" + code.hex(), "gas": hex(_GAS)})
    assert receipt["status"] == "0x1", f"{artifact.name} could not be deployed"
    where = create_address(sender, nonce)
    assert where == address(receipt["contractAddress"])
    return Contract(artifact=artifact, address=where)


def mine(rpc: Rpc, body: Mapping[str, str]) -> Mapping[str, Any]:
    """Mine a block with one transaction of an unlocked account, and return the receipt."""
    tx_hash = rpc.call("eth_sendTransaction", body)
    rpc.call("evm_mine")
    receipt: Mapping[str, Any] = rpc.call("eth_getTransactionReceipt", tx_hash)
    return receipt


def executor_artifact() -> Artifact:
    """Return the committed artifact of the executor."""
    return load_artifact(ROOT / "abis" / "Liquidator.json")


def runtime_code() -> str:
    """Return the committed runtime code of the executor, as 0x hex."""
    text = (ROOT / "abis" / "Liquidator.json").read_text(encoding="utf-8")
    return str(json.loads(text)["deployedBytecode"])


def compile_hostile() -> Mapping[str, Artifact]:
    """Return the contracts that the executor is tested against, compiled once for each text."""
    folder = ROOT / "tests" / "support" / "contracts"
    return ensure_compiled(
        Compilation(
            name="hostile",
            label="the contracts that the executor is tested against",
            sources={one.name: one.read_text("utf-8") for one in sorted(folder.glob("*.sol"))},
            settings=Settings(),
            contracts=(),
        )
    )
