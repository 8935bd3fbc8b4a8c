"""What a rollup charges for putting a transaction's data on its parent chain.

The parameters are those that the rollup's own oracle answers at a block (``chain.data_fees``).
"""

from typing import Final

from msgspec import Struct

from keeper.core.chain import NO_DATA_COST, DataCost, Fees, Transaction
from keeper.core.fixed_point import mul_div_ceil
from keeper.evm.fast_lz import compressed_size
from keeper.evm.transaction import DYNAMIC_FEE_TYPE, dynamic_fee_fields, encode_rlp

_SIGNATURE: Final = 68
"""Bytes that the oracle adds for the signature of an unsigned transaction."""
_ZERO_GAS: Final = 4
_BYTE_GAS: Final = 16
_MILLION: Final = 10**6
_INTERCEPT: Final = -42_585_600
_SLOPE: Final = 836_500
_LEAST_SIZE: Final = 100 * _MILLION
_NONCE: Final = 2**16
"""Stands for the nonce, which is not known yet."""


class FreeData(Struct, frozen=True, kw_only=True):
    """A chain that has no parent: data costs its gas and nothing else."""

    def at_most(self, size: int) -> DataCost:  # noqa: ARG002 - of any size
        """Return nothing."""
        return NO_DATA_COST

    def of(self, transaction: Transaction, *, gas_limit: int, fees: Fees) -> DataCost:  # noqa: ARG002 - of any
        """Return nothing."""
        return NO_DATA_COST


class OpStackData(Struct, frozen=True, kw_only=True):
    """An OP-stack rollup from Ecotone on: a fee on top of the gas, by compressed size."""

    chain_id: int
    fjord: bool
    l1_base_fee: int
    base_fee_scalar: int
    blob_base_fee: int
    blob_base_fee_scalar: int

    def at_most(self, size: int) -> DataCost:
        """Mirror ``GasPriceOracle.getL1FeeUpperBound`` for an unsigned size in bytes.

        Before Fjord, which brought that function, every byte is counted as one that is not zero.
        """
        signed = size + _SIGNATURE
        if not self.fjord:
            return DataCost(wei=self._ecotone(signed * _BYTE_GAS))
        return DataCost(wei=self._fjord(signed + signed // 255 + 16))

    def of(self, transaction: Transaction, *, gas_limit: int, fees: Fees) -> DataCost:
        """Return the oracle's fee of a transaction that is not numbered and signed yet."""
        fields = dynamic_fee_fields(
            transaction, chain_id=self.chain_id, nonce=_NONCE, gas_limit=gas_limit, fees=fees
        )
        return DataCost(wei=self.fee(DYNAMIC_FEE_TYPE + encode_rlp(fields)))

    def fee(self, unsigned: bytes) -> int:
        """Mirror ``GasPriceOracle.getL1Fee`` of an unsigned serialised transaction, wei."""
        if self.fjord:
            return self._fjord(compressed_size(unsigned) + _SIGNATURE)
        zeros = unsigned.count(0)
        gas = zeros * _ZERO_GAS + (len(unsigned) - zeros + _SIGNATURE) * _BYTE_GAS
        return self._ecotone(gas)

    @property
    def _price(self) -> int:
        scaled_base = self.base_fee_scalar * 16 * self.l1_base_fee
        return scaled_base + self.blob_base_fee_scalar * self.blob_base_fee

    def _ecotone(self, gas: int) -> int:
        """Mirror ``GasPriceOracle._getL1FeeEcotone``."""
        return gas * self._price // (16 * _MILLION)

    def _fjord(self, compressed: int) -> int:
        """Mirror ``GasPriceOracle._fjordL1Cost`` and ``_fjordLinearRegression``."""
        size = max(_INTERCEPT + _SLOPE * compressed, _LEAST_SIZE)
        return size * self._price // _MILLION**2


class ArbitrumData(Struct, frozen=True, kw_only=True):
    """An Arbitrum chain: data is charged as gas of the transaction itself.

    The chain goes by the size after Brotli; a program is mostly addresses, which do not compress,
    and is counted as it stands.
    """

    wei_per_byte: int
    """``getPricesInWei``'s second: of a byte of compressed calldata."""
    wei_per_gas: int
    """Its last: of a unit of gas on this chain."""

    def at_most(self, size: int) -> DataCost:
        """Return the gas that a transaction of an unsigned size in bytes may be charged."""
        per_gas = max(self.wei_per_gas, 1)
        return DataCost(gas=mul_div_ceil(size + _SIGNATURE, self.wei_per_byte, per_gas))

    def of(self, transaction: Transaction, *, gas_limit: int, fees: Fees) -> DataCost:
        """Return the same of a transaction that is not numbered and signed yet."""
        fields = dynamic_fee_fields(
            transaction, chain_id=_NONCE, nonce=_NONCE, gas_limit=gas_limit, fees=fees
        )
        return self.at_most(len(encode_rlp(fields)) + 1)


DataFees = FreeData | OpStackData | ArbitrumData

FREE_DATA: Final = FreeData()
