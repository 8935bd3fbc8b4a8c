"""How a chain's base fee goes on, as far as its headers tell."""

from typing import Final

from keeper.chain.data_fees import Rollup
from keeper.core.chain import EIP_1559, BaseFeeRule

_ARBITRUM_GAS_LIMIT: Final = 2**50
"""Of each of its headers (Nitro ``l2pricing.GethBlockGasLimit``), which its fee does not go by."""
_STEADY: Final = BaseFeeRule(denominator=0)
_HOLOCENE_SIZE, _JOVIAN_SIZE = 9, 17
_FORMATS: Final = ((_HOLOCENE_SIZE, 0), (_JOVIAN_SIZE, 1))
"""Length and first byte of an OP-stack header's extra data."""


def base_fee_rule(rollup: Rollup | None, *, gas_limit: int, extra_data: str) -> BaseFeeRule:
    """Return how the base fee follows from a header; as on Ethereum where it tells nothing else.

    Only a rollup's header is asked: elsewhere whoever builds a block writes there what he likes.
    """
    if rollup is Rollup.ARBITRUM and gas_limit == _ARBITRUM_GAS_LIMIT:
        return _STEADY
    return _op_stack(extra_data) if rollup is Rollup.OP_STACK else EIP_1559


def _op_stack(extra_data: str) -> BaseFeeRule:
    """Read the OP stack's ``eip1559Params`` (Holocene) and ``minBaseFee`` (Jovian)."""
    try:
        told = bytes.fromhex(extra_data.removeprefix("0x"))
    except ValueError:
        return EIP_1559
    if (len(told), told[0] if told else 0) not in _FORMATS:
        return EIP_1559
    denominator, elasticity = int.from_bytes(told[1:5]), int.from_bytes(told[5:9])
    if denominator == 0 or elasticity == 0:
        return EIP_1559
    return BaseFeeRule(
        elasticity=elasticity,
        denominator=denominator,
        least=int.from_bytes(told[_HOLOCENE_SIZE:]),
    )
