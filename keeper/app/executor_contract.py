"""The on-chain executor: the deployed one, or one that rehearsals pretend is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keeper.core.chain import BlockRef, Call, StateOverride
from keeper.core.errors import ConfigError
from keeper.core.ports import Reader
from keeper.core.units import Address, address_of_word
from keeper.evm.artifacts import load_artifact
from keeper.evm.program import OPERATOR_SLOT, OWNER_SLOT, RECIPIENT_SLOT

ARTIFACT: Final = "Liquidator"

PRETENDED: Final = Address("0x" + b"keeper executor.....".hex())
"""Where the executor is pretended to be: nobody's address."""

PRETENDED_OPERATOR: Final = Address("0x" + b"keeper operator.....".hex())

_OPERATOR: Final = Address("0x" + "4b6565706572206f70657261" + "746f72" * 2 + "0000")

_OPERATOR_CALL: Final = bytes.fromhex("570ca735")
_RECIPIENT_CALL: Final = bytes.fromhex("66d003ac")
_WORD: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorContract:
    """Where programs run, on whose order, and who gets the profit."""

    address: Address
    operator: Address
    recipient: Address
    overrides: Mapping[Address, StateOverride] = field(default_factory=dict)
    """Empty for a deployed contract."""


def pretend(recipient: Address | None) -> ExecutorContract:
    """Return an executor that exists in rehearsals alone."""
    operator = PRETENDED_OPERATOR
    to = recipient or operator
    storage = {
        OWNER_SLOT: int(operator, 16),
        OPERATOR_SLOT: int(operator, 16),
        RECIPIENT_SLOT: int(to, 16),
    }
    code = StateOverride(code=load_artifact(ARTIFACT).runtime, storage=storage)
    return ExecutorContract(
        address=PRETENDED, operator=operator, recipient=to, overrides={PRETENDED: code}
    )


async def read_executor(reader: Reader, address: Address, block: BlockRef) -> ExecutorContract:
    """Return the deployed executor with its roles.

    Raises ConfigError when the code at the address is not ours.
    """
    expected = load_artifact(ARTIFACT).runtime
    found = await reader.code(address, block)
    if found != expected:
        what = "no code" if not found else f"{len(found)} bytes of other code"
        msg = f"executor {address}: expected the code of {ARTIFACT}.json, found {what}"
        raise ConfigError(msg)
    calls = [Call(to=address, data=_OPERATOR_CALL), Call(to=address, data=_RECIPIENT_CALL)]
    operator, recipient = await reader.call_many(calls, block)
    return ExecutorContract(
        address=address,
        operator=address_of_word(operator.data),
        recipient=address_of_word(recipient.data),
    )
