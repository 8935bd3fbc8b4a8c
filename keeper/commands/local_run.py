"""What ``demo`` and ``dry-run`` share: a keeper on a node of our own, and the count of the money.

On such a node keys hold nothing of value, so it is armed with a throwaway one.
"""

from dataclasses import dataclass
from pathlib import Path

from keeper.chain.anvil import find_anvil
from keeper.commands.console import say
from keeper.core.units import Address
from keeper.devnet.packages import ensure_anvil
from keeper.devnet.rpc import Rpc

_BALANCE_OF = "0x70a08231"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """Native and wrapped native coin of the operator and the recipient together, wei."""

    operator: Address
    recipient: Address
    wrapped_native: Address

    def count(self, rpc: Rpc) -> int:
        """Return what the two hold now, read from the node and not from the books."""
        total = 0
        for holder in {self.operator, self.recipient}:
            total += int(rpc.call("eth_getBalance", holder, "latest"), 16)
            data = _BALANCE_OF + holder[2:].rjust(64, "0")
            call = {"to": self.wrapped_native, "data": data}
            total += int(rpc.call("eth_call", call, "latest"), 16)
        return total


def anvil_binary() -> Path:
    """Return anvil from the PATH when new enough, else the pinned one from npm."""
    found = find_anvil()
    if found is not None:
        return found
    return ensure_anvil(progress=say)
