"""Put the on-chain executor on a local node or a fork."""

from collections.abc import Sequence

from keeper.core.units import Address
from keeper.devnet.contract import create_address
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender
from keeper.evm.artifacts import load_artifact

_GAS = 6_000_000


def deploy_executor(
    rpc: Rpc,
    *,
    owner: Address,
    operator: Address,
    recipient: Address,
    more_operators: Sequence[Address] = (),
) -> Address:
    """Deploy the executor from an unlocked account, its owner; return its address."""
    arguments = (owner, (operator, *more_operators), recipient)
    return _deployed(rpc, owner, "Liquidator", arguments)


def deploy_inventory(
    rpc: Rpc, *, deployer: Address, executor: Address, treasury: Address
) -> Address:
    """Deploy the lender of a treasury's tokens, which must still allow it; return its address."""
    return _deployed(rpc, deployer, "Inventory", (executor, treasury))


def _deployed(
    rpc: Rpc, deployer: Address, name: str, arguments: Sequence[Address | Sequence[Address]]
) -> Address:
    sender = Sender.of(rpc, deployer)
    where = create_address(deployer, sender.nonce)
    code = load_artifact(name).creation(*arguments)
    sender.add(f"deploy {name}", to=None, data=code, gas=_GAS)
    sender.mine()
    return where
