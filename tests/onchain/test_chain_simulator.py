"""Simulation, sending and receipts on a real node."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.chain.errors import NodeRefusedError
from keeper.chain.fees import fees_for
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, Fees, Simulated, StateOverride, Transaction, next_base_fee
from keeper.core.errors import StaleError
from keeper.core.units import ZERO_ADDRESS, Address, Hash32, address
from keeper.evm.transaction import LocalSigner

CHAIN_ID = 31337
GWEI = 10**9
COUNTER = address("0x" + "44" * 20)
"""Adds one to slot 0, logs topic 1, and returns the sum."""
REVERTER = address("0x" + "22" * 20)
BOMB = address("0x" + "33" * 20)
ENVIRONMENT = address("0x" + "66" * 20)
"""Returns number and timestamp of the block."""
POOR = address("0x" + "77" * 20)
SENDER = address("0x" + "88" * 20)

CODES = {
    COUNTER: "0x5f54600101805f555f5260015f5fa160205ff3",
    REVERTER: "0x63deadbeef5f526004601cfd",
    BOMB: "0x5b5f56",
    ENVIRONMENT: "0x435f524260205260405ff3",
}
ONE_TOPIC = Hash32("0x" + f"{1:064x}")


@pytest.fixture(scope="module")
def anvil(anvil_binary: Path) -> Iterator[Anvil]:
    options = AnvilOptions(ipc=True, chain_id=CHAIN_ID, automine=False, base_fee_wei=GWEI)
    with start_anvil(anvil_binary, options) as node:
        yield node


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    options = ChainOptions(chain_id=CHAIN_ID, multicall3=ZERO_ADDRESS)
    async with open_chain(str(anvil.ipc_path), options) as made:
        for target, code in CODES.items():
            await tell(made, "anvil_setCode", target, code)
        await tell(made, "evm_mine")
        yield made


async def tell(chain: Chain, method: str, *params: object) -> object:
    return await chain.rpc.read(object, method, *params)


async def simulate(
    chain: Chain,
    *targets: Address,
    overrides: dict[Address, StateOverride] | None = None,
    value: int = 0,
) -> list[Simulated]:
    base = await chain.reader.head()
    return await chain.simulator.simulate(
        [Transaction(sender=SENDER, to=to, data=b"", value=value) for to in targets],
        base=base,
        timestamp=base.timestamp + 12,
        base_fee=7,
        overrides=overrides or {},
    )


def words(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)]


async def test_the_probe_finds_what_the_node_offers(chain: Chain) -> None:
    await chain.simulator.probe()


async def test_the_block_is_the_one_aimed_at(chain: Chain) -> None:
    head = await chain.reader.head()
    (seen,) = await simulate(chain, ENVIRONMENT)
    assert words(seen.return_data) == [head.number + 1, head.timestamp + 12]


async def test_later_transactions_see_what_earlier_ones_did(chain: Chain) -> None:
    first, second = await simulate(chain, COUNTER, COUNTER)
    assert words(second.return_data)[0] == words(first.return_data)[0] + 1
    assert (first.success, first.error) == (True, "")
    assert [(log.address, log.topics) for log in first.logs] == [(COUNTER, (ONE_TOPIC,))]
    assert first.gas_used > second.gas_used > 21_000


async def test_nothing_of_a_simulation_stays(chain: Chain) -> None:
    before = await simulate(chain, COUNTER)
    assert (await simulate(chain, COUNTER))[0].return_data == before[0].return_data


async def test_overrides_pretend_code_storage_and_balance(chain: Chain) -> None:
    storage = {COUNTER: StateOverride(storage={0: 41})}
    assert words((await simulate(chain, COUNTER, overrides=storage))[0].return_data) == [42]
    code = {POOR: StateOverride(code=bytes.fromhex(CODES[COUNTER][2:]))}
    assert words((await simulate(chain, POOR, overrides=code))[0].return_data) == [1]
    rich = {SENDER: StateOverride(balance=10**18)}
    assert (await simulate(chain, POOR, overrides=rich, value=10**17))[0].success


async def test_a_revert_keeps_its_data_and_fails_alone(chain: Chain) -> None:
    bad, good = await simulate(chain, REVERTER, COUNTER)
    assert (bad.success, bad.return_data.hex(), bad.error) == (
        False,
        "deadbeef",
        "execution failed",
    )
    assert (bad.logs, good.success) == ((), True)


async def test_a_silent_failure_is_explained_when_it_is_the_only_one(chain: Chain) -> None:
    (spent,) = await simulate(chain, BOMB)
    assert (spent.success, spent.return_data) == (False, b"")
    assert "OutOfGas" in spent.error


async def test_a_sender_without_funds_is_refused(chain: Chain) -> None:
    with pytest.raises(NodeRefusedError, match="nsufficient funds"):
        await simulate(chain, COUNTER, value=1)


async def test_a_base_that_a_reorg_replaced_is_stale(chain: Chain) -> None:
    await tell(chain, "evm_mine")
    orphan = await chain.reader.head()
    await tell(chain, "anvil_reorg", 1, [])
    with pytest.raises(StaleError):
        await chain.simulator.simulate(
            [Transaction(sender=SENDER, to=COUNTER, data=b"")],
            base=orphan,
            timestamp=orphan.timestamp + 12,
            base_fee=7,
            overrides={},
        )


class Sender:
    """A funded key that signs what the tests send."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.signer = LocalSigner(b"\x07" * 32, chain_id=CHAIN_ID)

    async def fund(self) -> BlockRef:
        await tell(self.chain, "anvil_setBalance", self.signer.address, hex(10**18))
        return await self.chain.reader.head()

    async def signed(
        self, fees: Fees, *, to: Address = COUNTER, value: int = 0, ahead: int = 0
    ) -> tuple[bytes, Hash32]:
        nonce = await self.chain.wire.nonce(self.signer.address, pending=False) + ahead
        transaction = Transaction(sender=self.signer.address, to=to, data=b"", value=value)
        return self.signer.sign(transaction, nonce=nonce, gas_limit=100_000, fees=fees)


async def test_a_transaction_is_sent_known_and_included_at_the_price_foreseen(
    chain: Chain,
) -> None:
    sender = Sender(chain)
    head = await sender.fund()
    fees = fees_for(head, priority_fee=GWEI)
    raw, tx_hash = await sender.signed(fees)
    assert not await chain.wire.knows(tx_hash)
    assert await chain.wire.send_raw(raw) == tx_hash
    assert await chain.wire.knows(tx_hash)
    assert await chain.wire.receipt(tx_hash) is None
    mined = await chain.wire.nonce(sender.signer.address, pending=False)
    assert await chain.wire.nonce(sender.signer.address, pending=True) == mined + 1
    await tell(chain, "evm_mine")
    receipt = await chain.wire.receipt(tx_hash)
    assert receipt is not None
    assert (receipt.success, receipt.block_number, receipt.l1_fee) == (True, head.number + 1, 0)
    assert receipt.effective_gas_price == next_base_fee(head) + GWEI
    assert [log.address for log in receipt.logs] == [COUNTER]


async def test_sending_what_is_pending_or_included_is_a_success(chain: Chain) -> None:
    sender = Sender(chain)
    raw, tx_hash = await sender.signed(fees_for(await sender.fund(), priority_fee=GWEI))
    await chain.wire.send_raw(raw)
    assert await chain.wire.send_raw(raw) == tx_hash
    await tell(chain, "evm_mine")
    assert await chain.wire.send_raw(raw) == tx_hash


async def test_refusals_keep_the_node_s_reason(chain: Chain) -> None:
    sender = Sender(chain)
    fees = fees_for(await sender.fund(), priority_fee=GWEI)
    first, _ = await sender.signed(fees)
    await chain.wire.send_raw(first)
    too_low = Fees(max_fee=1, priority_fee=0)
    lower = Fees(max_fee=fees.max_fee - 1, priority_fee=1)
    for reason, (raw, _) in {
        "replacement transaction underpriced": await sender.signed(lower, value=1),
        "Insufficient funds": await sender.signed(fees, value=10**19, ahead=1),
        "max fee per gas less than block base fee": await sender.signed(too_low, ahead=1),
    }.items():
        with pytest.raises(NodeRefusedError, match=reason):
            await chain.wire.send_raw(raw)
    await tell(chain, "evm_mine")
    spent, _ = await sender.signed(fees, value=2, ahead=-1)
    with pytest.raises(NodeRefusedError, match="nonce too low"):
        await chain.wire.send_raw(spent)
