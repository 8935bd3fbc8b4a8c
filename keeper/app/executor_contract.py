"""The on-chain executor: the deployed one, or one that rehearsals pretend is there."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from keeper.core.chain import BlockRef, Call, StateOverride
from keeper.core.errors import ConfigError, StaleError
from keeper.core.ports import Reader
from keeper.core.units import Address, address_of_word
from keeper.core.values import replace
from keeper.evm.artifacts import load_artifact
from keeper.evm.program import OWNER_SLOT, RECIPIENT_SLOT, operator_slot

ARTIFACT: Final = "Liquidator"

PRETENDED: Final = Address("0x" + b"keeper executor.....".hex())
"""Where the executor is pretended to be: nobody's address."""

PRETENDED_OPERATOR: Final = Address("0x" + b"keeper operator.....".hex())

_OPERATORS_CALL: Final = bytes.fromhex("e673df8a")
_RECIPIENT_CALL: Final = bytes.fromhex("66d003ac")
_WORD: Final = 32


class ExecutorContract(Struct, frozen=True, kw_only=True):
    """Where programs run, on whose order, and who gets the profit."""

    address: Address
    operators: tuple[Address, ...]
    """Who may run programs on chain."""
    operator: Address
    """Whose transactions are planned and rehearsed."""
    recipient: Address
    overrides: Mapping[Address, StateOverride] = field(default_factory=dict)
    """What rehearsals pretend: nothing for a deployed contract that has an operator."""

    def run_by(self, operator: Address) -> "ExecutorContract":
        """Return it with the transactions of this one of its operators."""
        return replace(self, operator=operator)


def pretend(recipient: Address | None) -> ExecutorContract:
    """Return an executor that exists in rehearsals alone."""
    operator = PRETENDED_OPERATOR
    to = recipient or operator
    storage = {
        OWNER_SLOT: int(operator, 16),
        operator_slot(operator): 1,
        RECIPIENT_SLOT: int(to, 16),
    }
    code = StateOverride(code=load_artifact(ARTIFACT).runtime, storage=storage)
    return ExecutorContract(
        address=PRETENDED,
        operators=(operator,),
        operator=operator,
        recipient=to,
        overrides={PRETENDED: code},
    )


async def read_executor(reader: Reader, address: Address, block: BlockRef) -> ExecutorContract:
    """Return the deployed executor with its roles, run by the first of its operators.

    When it has none, an operator of no key is pretended, so that plans can be rehearsed.
    Raises ConfigError when the code at the address is not ours.
    """
    expected = load_artifact(ARTIFACT).runtime
    found = await reader.code(address, block)
    if found != expected:
        what = "no code" if not found else f"{len(found)} bytes of other code"
        wanted = f"the code of {ARTIFACT}.json at block {block.number}"
        msg = f"executor {address}: expected {wanted}, found {what}"
        raise ConfigError(msg)
    calls = [Call(to=address, data=_OPERATORS_CALL), Call(to=address, data=_RECIPIENT_CALL)]
    listed, recipient = await reader.call_many(calls, block)
    operators = _addresses(listed.data)
    nobody = {operator_slot(PRETENDED_OPERATOR): 1}
    return ExecutorContract(
        address=address,
        operators=operators,
        operator=operators[0] if operators else PRETENDED_OPERATOR,
        recipient=address_of_word(recipient.data),
        overrides={} if operators else {address: StateOverride(storage=nobody)},
    )


async def recipient_at(reader: Reader, executor: Address, block: BlockRef) -> Address:
    """Return whom an executor paid in a block. Raises StaleError where it does not say."""
    (answer,) = await reader.call_many([Call(to=executor, data=_RECIPIENT_CALL)], block)
    if not answer.success or len(answer.data) != _WORD:
        found = answer.data.hex() or "nothing"
        msg = f"executor {executor}: expected its recipient at block {block.number}, found {found}"
        raise StaleError(msg)
    return address_of_word(answer.data)


def _addresses(data: bytes) -> tuple[Address, ...]:
    """Read an answer that is one array of addresses."""
    words = [data[at : at + _WORD] for at in range(2 * _WORD, len(data), _WORD)]
    return tuple(address_of_word(word) for word in words)
