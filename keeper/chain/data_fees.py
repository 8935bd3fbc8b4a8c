"""Read what a rollup charges for data from its own oracle contracts, as of a block."""

from enum import StrEnum
from typing import Final

from keeper.core.chain import BlockRef, Call
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32
from keeper.evm.data_fees import ArbitrumData, DataFees, FreeData, OpStackData
from keeper.evm.words import WORD, int_at, selector

GAS_PRICE_ORACLE: Final = Address("0x420000000000000000000000000000000000000f")
"""``GasPriceOracle``, a predeploy of every OP-stack chain."""
ARB_GAS_INFO: Final = Address("0x000000000000000000000000000000000000006c")
"""``ArbGasInfo``, a precompile of every Arbitrum chain."""

_ORACLE_FUNCTIONS: Final = (
    "isEcotone()",
    "isFjord()",
    "l1BaseFee()",
    "baseFeeScalar()",
    "blobBaseFee()",
    "blobBaseFeeScalar()",
)
_PRICES: Final = "getPricesInWei()"
_PRICES_WORDS: Final = 6


class Rollup(StrEnum):
    """A family of rollups, by how it charges for data."""

    OP_STACK = "op_stack"
    ARBITRUM = "arbitrum"


class NewestDataFees:
    """What data costs at the newest block that was asked for, read once for it."""

    def __init__(self, reader: Reader, rollup: Rollup | None, *, chain_id: int) -> None:
        """Read nothing yet."""
        self._reader = reader
        self._rollup = rollup
        self._chain_id = chain_id
        self._block: Hash32 | None = None
        self.known: DataFees = FreeData()
        """As read last."""

    async def at(self, block: BlockRef) -> DataFees:
        """Return what data costs at ``block``. Raises as ``read_data_fees``."""
        if self._block != block.hash:
            rollup, chain_id = self._rollup, self._chain_id
            self.known = await read_data_fees(self._reader, rollup, chain_id=chain_id, block=block)
            self._block = block.hash
        return self.known


async def read_data_fees(
    reader: Reader, rollup: Rollup | None, *, chain_id: int, block: BlockRef
) -> DataFees:
    """Return what data costs at ``block``; nothing on a chain that is no rollup.

    Raises StaleError when the chain does not answer as that kind of rollup would.
    """
    if rollup is None:
        return FreeData()
    if rollup is Rollup.ARBITRUM:
        return await _arbitrum(reader, block)
    return await _op_stack(reader, chain_id, block)


async def _op_stack(reader: Reader, chain_id: int, block: BlockRef) -> OpStackData:
    calls = [Call(to=GAS_PRICE_ORACLE, data=selector(one)) for one in _ORACLE_FUNCTIONS]
    results = await reader.call_many(calls, block)
    for name, result in zip(_ORACLE_FUNCTIONS, results, strict=True):
        if not result.success or len(result.data) < WORD:
            raise _not_a("op_stack", GAS_PRICE_ORACLE, name, result.data)
    ecotone, fjord, base, scalar, blob, blob_scalar = (int_at(one.data, 0) for one in results)
    if not ecotone:
        msg = "rollup: expected an OP-stack chain from Ecotone on, found an earlier one"
        raise StaleError(msg)
    return OpStackData(
        chain_id=chain_id,
        fjord=bool(fjord),
        l1_base_fee=base,
        base_fee_scalar=scalar,
        blob_base_fee=blob,
        blob_base_fee_scalar=blob_scalar,
    )


async def _arbitrum(reader: Reader, block: BlockRef) -> ArbitrumData:
    (result,) = await reader.call_many([Call(to=ARB_GAS_INFO, data=selector(_PRICES))], block)
    if not result.success or len(result.data) < _PRICES_WORDS * WORD:
        raise _not_a("arbitrum", ARB_GAS_INFO, _PRICES, result.data)
    return ArbitrumData(
        wei_per_byte=int_at(result.data, 1), wei_per_gas=int_at(result.data, _PRICES_WORDS - 1)
    )


def _not_a(kind: str, where: Address, function: str, found: bytes) -> StaleError:
    msg = f"rollup: {kind}: expected {where} to answer {function}, found {found.hex() or 'nothing'}"
    return StaleError(msg)
