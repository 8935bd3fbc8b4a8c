"""Put the on-chain executor on a local node or a fork."""

from collections.abc import Sequence

from keeper.core.units import Address
from keeper.devnet.contract import create_address
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender
from keeper.evm.artifacts import load_artifact

_GAS = 4_000_000


def deploy_executor(
    rpc: Rpc,
    *,
    owner: Address,
    operator: Address,
    recipient: Address,
    more_operators: Sequence[Address] = (),
) -> Address:
    """Deploy the executor from an unlocked account, its owner; return its address."""
    sender = Sender.of(rpc, owner)
    where = create_address(owner, sender.nonce)
    code = load_artifact("Liquidator").creation(owner, (operator, *more_operators), recipient)
    sender.add("deploy Liquidator", to=None, data=code, gas=_GAS)
    sender.mine()
    return where
