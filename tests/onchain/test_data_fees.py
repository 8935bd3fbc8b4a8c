"""What a rollup charges for data is what its own oracle says, to the wei.

The OP stack's GasPriceOracle and L1Block are the real contracts at their real addresses; Arbitrum's
precompile is a contract of ours with the same function.
"""

import json
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from eth_abi.abi import encode

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.chain.data_fees import ARB_GAS_INFO, GAS_PRICE_ORACLE, Rollup, read_data_fees
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import Fees, Transaction
from keeper.core.errors import StaleError
from keeper.core.units import Address
from keeper.devnet.contract import Artifact
from keeper.devnet.multicall import MULTICALL3, multicall3_runtime
from keeper.devnet.packages import ensure
from keeper.devnet.rpc import Rpc
from keeper.evm.data_fees import ArbitrumData, OpStackData
from keeper.evm.transaction import DYNAMIC_FEE_TYPE, dynamic_fee_fields, encode_rlp
from keeper.evm.words import selector
from tests.support.executor_stage import deploy

CHAIN_ID = 31337
L1_BLOCK = "0x4200000000000000000000000000000000000015"
DEPOSITOR = "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001"
FEES = Fees(max_fee=3 * 10**9, priority_fee=10**7)
ENOUGH = hex(10**20)


@pytest.fixture(scope="module")
def anvil(anvil_binary: Path) -> Iterator[Anvil]:
    with start_anvil(anvil_binary, AnvilOptions(chain_id=CHAIN_ID)) as node:
        yield node


@pytest.fixture
def rpc(anvil: Anvil) -> Iterator[Rpc]:
    with closing(Rpc(anvil.http_url)) as made:
        made.call("anvil_setCode", MULTICALL3, multicall3_runtime())
        kept = made.call("evm_snapshot")
        yield made
        made.call("evm_revert", kept)


@pytest.fixture
async def chain(anvil: Anvil, rpc: Rpc) -> AsyncIterator[Chain]:
    options = ChainOptions(chain_id=CHAIN_ID, multicall3=MULTICALL3)
    async with open_chain(anvil.http_url, options) as made:
        yield made


def predeploy(rpc: Rpc) -> None:
    """Put the OP stack's contracts where every such chain has them."""
    folder = ensure("optimism-bedrock") / "forge-artifacts"
    for name, where in (("GasPriceOracle", GAS_PRICE_ORACLE), ("L1Block", L1_BLOCK)):
        artifact = json.loads((folder / f"{name}.sol" / f"{name}.json").read_text("utf-8"))
        rpc.call("anvil_setCode", where, artifact["deployedBytecode"]["object"])
    rpc.call("anvil_impersonateAccount", DEPOSITOR)
    rpc.call("anvil_setBalance", DEPOSITOR, ENOUGH)


def as_depositor(rpc: Rpc, to: str, data: bytes) -> None:
    body = {"from": DEPOSITOR, "to": to, "data": "0x" + data.hex(), "gas": hex(10**6)}
    sent = rpc.call("eth_sendTransaction", body)
    rpc.call("evm_mine")  # anvil answers before its own mining is done
    receipt = rpc.call("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"


def set_prices(rpc: Rpc, chance: random.Random) -> None:
    """Send what the sequencer sends in each block: scalars, counters, fees, hashes."""
    packed = chance.getrandbits(27).to_bytes(4) + chance.getrandbits(27).to_bytes(4) + bytes(24)
    words = (chance.randrange(10**11), chance.randrange(10**11), 1, 1)
    data = selector("setL1BlockValuesEcotone()") + packed
    as_depositor(rpc, L1_BLOCK, data + b"".join(word.to_bytes(32) for word in words))


def some_transactions(chance: random.Random) -> list[Transaction]:
    """Return data of every sort: none, noise, zeros, words, repeats and long runs."""
    noise = [chance.randbytes(chance.randrange(1, 900)) for _ in range(12)]
    words = [
        b"".join(chance.choice(noise)[:20].rjust(32, b"\0") for _ in range(20)) for _ in range(8)
    ]
    repeats = [chance.randbytes(chance.randrange(1, 40)) * chance.randrange(1, 60) for _ in noise]
    runs = [b"\x07" * length for length in (1, 3, 12, 14, 33, 280, 700, 9_000)]
    return [
        Transaction(sender=Address(DEPOSITOR), to=Address(L1_BLOCK), data=data)
        for data in (b"", *noise, *words, *repeats, *runs)
    ]


def oracle_says(rpc: Rpc, function: str, kind: str, value: object) -> int:
    data = selector(f"{function}({kind})") + encode([kind], [value])
    body = {"to": GAS_PRICE_ORACLE, "data": "0x" + data.hex()}
    return int(rpc.call("eth_call", body, "latest"), 16)


def unsigned(transaction: Transaction) -> bytes:
    fields = dynamic_fee_fields(
        transaction, chain_id=CHAIN_ID, nonce=2**16, gas_limit=900_000, fees=FEES
    )
    return DYNAMIC_FEE_TYPE + encode_rlp(fields)


async def fees_of_op_stack(chain: Chain) -> OpStackData:
    block = await chain.reader.head()
    found = await read_data_fees(chain.reader, Rollup.OP_STACK, chain_id=CHAIN_ID, block=block)
    assert isinstance(found, OpStackData)
    return found


@pytest.mark.parametrize("fork", ["ecotone", "fjord"])
async def test_the_data_fee_is_what_the_real_oracle_says(rpc: Rpc, chain: Chain, fork: str) -> None:
    chance = random.Random(fork)  # noqa: S311 - repeatable on purpose
    predeploy(rpc)
    as_depositor(rpc, GAS_PRICE_ORACLE, selector("setEcotone()"))
    if fork == "fjord":
        as_depositor(rpc, GAS_PRICE_ORACLE, selector("setFjord()"))
    compared = 0
    for _ in range(3):
        set_prices(rpc, chance)
        fees = await fees_of_op_stack(chain)
        assert fees.fjord == (fork == "fjord")
        for one in some_transactions(chance):
            cost = fees.of(one, gas_limit=900_000, fees=FEES)
            size = len(unsigned(one))
            assert cost.gas == 0
            assert cost.wei == oracle_says(rpc, "getL1Fee", "bytes", unsigned(one))
            assert cost.wei <= fees.at_most(size).wei
            if fork == "fjord":
                bound = oracle_says(rpc, "getL1FeeUpperBound", "uint256", size)
                assert fees.at_most(size).wei == bound
            compared += cost.wei > 0
    assert compared > 100


async def test_a_chain_before_ecotone_is_not_priced(rpc: Rpc, chain: Chain) -> None:
    predeploy(rpc)
    with pytest.raises(StaleError, match="Ecotone"):
        await fees_of_op_stack(chain)


async def test_a_chain_without_the_oracle_is_not_taken_for_a_rollup(chain: Chain) -> None:
    block = await chain.reader.head()
    for rollup in Rollup:
        with pytest.raises(StaleError, match="found nothing"):
            await read_data_fees(chain.reader, rollup, chain_id=CHAIN_ID, block=block)


async def test_arbitrum_charges_data_as_gas_at_the_precompiles_prices(
    rpc: Rpc, chain: Chain, hostile_artifacts: Mapping[str, Artifact]
) -> None:
    account = Address(rpc.call("eth_accounts")[0])
    made = deploy(rpc, account, hostile_artifacts["ArbGasInfoOfOurs"])
    rpc.call("anvil_setCode", ARB_GAS_INFO, rpc.call("eth_getCode", made.address, "latest"))
    data = made.encode("set", 16 * 10**9, 10**8)
    rpc.call(
        "eth_sendTransaction", {"from": account, "to": ARB_GAS_INFO, "data": "0x" + data.hex()}
    )
    rpc.call("evm_mine")
    block = await chain.reader.head()
    fees = await read_data_fees(chain.reader, Rollup.ARBITRUM, chain_id=CHAIN_ID, block=block)
    assert fees == ArbitrumData(wei_per_byte=16 * 10**9, wei_per_gas=10**8)
    assert fees.at_most(432).gas == 500 * 160
    assert fees.at_most(432).at(10**8) == 500 * 16 * 10**9
