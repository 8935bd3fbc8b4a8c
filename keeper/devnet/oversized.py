"""Contracts whose code is longer than a chain allows, put in their place on the local node."""

from collections.abc import Sequence

from keeper.core.units import Address
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.rpc import Rpc


def place(rpc: Rpc, artifact: Artifact, arguments: Sequence[object], where: Address) -> Contract:
    """Put a contract's code at an address, and return the contract.

    The code is what the constructor returns when it runs there. What it writes to storage is lost,
    which does for an implementation that a proxy runs.
    """
    creation = "0x" + artifact.creation_code(arguments, {}).hex()
    code = rpc.call("eth_call", {"to": where}, "latest", {where: {"code": creation}})
    rpc.call("anvil_setCode", where, code)
    return Contract(artifact=artifact, address=where)
