"""Transactions of an unlocked account, queued and mined in one block, each one checked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.units import Address, address
from keeper.devnet.contract import Artifact, Contract, create_address
from keeper.devnet.rpc import Rpc

MAX_FEE_WEI = 100 * 10**9
"""Offered per gas by local transactions; the pinned base fee is far below."""

_GAS = 16_000_000


class Queued(Struct, frozen=True, kw_only=True):
    """A transaction and the words to use for it when it fails."""

    what: str
    body: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Sender:
    """Queues transactions of one account; addresses of deployments are known before they exist."""

    rpc: Rpc
    account: Address
    nonce: int
    queue: list[Queued] = field(default_factory=list)

    @classmethod
    def of(cls, rpc: Rpc, account: Address) -> "Sender":
        """Return a sender that goes on at the account's next nonce."""
        nonce = int(rpc.call("eth_getTransactionCount", account, "latest"), 16)
        return cls(rpc=rpc, account=account, nonce=nonce)

    def deploy(
        self,
        artifact: Artifact,
        *arguments: object,
        libraries: Mapping[str, Address] | None = None,
    ) -> Contract:
        """Queue a deployment and return the contract it will be."""
        where = create_address(self.account, self.nonce)
        code = artifact.creation_code(arguments, libraries or {})
        self.add(f"deploy {artifact.name}", to=None, data=code)
        return Contract(artifact=artifact, address=where)

    def call(self, contract: Contract, function: str, *arguments: object, value: int = 0) -> None:
        """Queue a call."""
        data = contract.encode(function, *arguments)
        what = f"{contract.artifact.name}.{function}"
        self.add(what, to=contract.address, data=data, value=value)

    def add(
        self, what: str, *, to: Address | None, data: bytes, value: int = 0, gas: int = _GAS
    ) -> None:
        """Queue a transaction from its parts."""
        body = {
            "from": self.account,
            "data": "0x" + data.hex(),
            "nonce": hex(self.nonce),
            "gas": hex(gas),
            "value": hex(value),
            "maxFeePerGas": hex(MAX_FEE_WEI),
            "maxPriorityFeePerGas": "0x0",
        }
        if to is not None:
            body["to"] = to
        self.queue.append(Queued(what=what, body=body))
        self.nonce += 1

    def submit(self) -> list[tuple[Queued, str]]:
        """Send what is queued, without mining, and return each with its hash."""
        sent, self.queue = self.queue, []
        hashes = self.rpc.batch(("eth_sendTransaction", [queued.body]) for queued in sent)
        return list(zip(sent, hashes, strict=True))

    def mine(self) -> list[dict[str, Any]]:
        """Send what is queued, mine one block, and return the receipts, all of them successful."""
        with held_mining(self.rpc):
            sent = self.submit()
            self.rpc.call("evm_mine")
        return check_receipts(self.rpc, sent)


@contextmanager
def held_mining(rpc: Rpc) -> Iterator[None]:
    """Keep transactions in the mempool inside the block; restore mining on arrival if it was on."""
    automine = bool(rpc.call("anvil_getAutomine"))
    if automine:
        rpc.call("evm_setAutomine", False)
    try:
        yield
    finally:
        if automine:
            rpc.call("evm_setAutomine", True)


def check_receipts(rpc: Rpc, sent: Sequence[tuple[Queued, str]]) -> list[dict[str, Any]]:
    """Return the receipts; raise InvariantError naming the first that is missing or failed."""
    receipts = rpc.batch(("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in sent)
    for (queued, tx_hash), receipt in zip(sent, receipts, strict=True):
        if receipt is None:
            raise InvariantError(f"{queued.what}: expected it to be mined, found it pending")
        if receipt["status"] != "0x1":
            raise InvariantError(
                f"{queued.what}: expected success, found revert {_revert(rpc, tx_hash)}"
            )
    return receipts


def read(rpc: Rpc, contract: Contract, function: str, *arguments: object) -> Any:  # noqa: ANN401 - the ABI says what
    """Return what a view function answers at the latest block."""
    return read_all(rpc, [(contract, function, arguments)])[0]


def read_all(
    rpc: Rpc, calls: Sequence[tuple[Contract, str, Sequence[object]]], block: str = "latest"
) -> list[Any]:
    """Return what many view functions answer, in one batch; single values are unwrapped."""
    raw = rpc.batch(
        (
            "eth_call",
            [{"to": c.address, "data": "0x" + c.encode(function, *arguments).hex()}, block],
        )
        for c, function, arguments in calls
    )
    answers: list[Any] = []
    for (contract, function, _), data in zip(calls, raw, strict=True):
        values = contract.artifact.decode(function, bytes.fromhex(data[2:]))
        answers.append(values[0] if len(values) == 1 else values)
    return answers


def unlocked_accounts(rpc: Rpc) -> list[Address]:
    """Return the accounts the node signs for."""
    return [address(account) for account in rpc.call("eth_accounts")]


def _revert(rpc: Rpc, tx_hash: str) -> str:
    trace = rpc.call("debug_traceTransaction", tx_hash, {"tracer": "callTracer"})
    return str(trace.get("revertReason") or trace.get("output") or trace.get("error"))
