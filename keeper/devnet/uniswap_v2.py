"""Uniswap V2: the real factory and pairs, seeded at a price."""

from pathlib import Path

from eth_utils.crypto import keccak
from msgspec import Struct

from keeper.core.units import ZERO_ADDRESS, Address, address_bytes
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.packages import Progress, ensure, quiet
from keeper.devnet.sender import Sender

PACKAGE = "uniswap-v2-core"


class UniswapV2(Struct, frozen=True, kw_only=True):
    """A factory, and what it makes its pairs of."""

    factory: Contract
    pair: Artifact

    def pair_of(self, one: Address, other: Address) -> Contract:
        """Return the pair of two tokens, which is at this address once it has been created."""
        token0, token1 = sorted((one, other), key=lambda token: int(token, 16))
        salt = keccak(address_bytes(token0) + address_bytes(token1))
        code = keccak(self.pair.creation_code((), {}))
        digest = keccak(b"\xff" + address_bytes(self.factory.address) + salt + code)
        return Contract(artifact=self.pair, address=Address("0x" + digest[12:].hex()))


def deploy_uniswap_v2(sender: Sender, *, progress: Progress = quiet) -> UniswapV2:
    """Queue the factory, of the published bytecode, without a protocol fee."""
    folder = ensure(PACKAGE, progress=progress) / "build"
    factory = sender.deploy(_artifact(folder, "UniswapV2Factory"), ZERO_ADDRESS)
    return UniswapV2(factory=factory, pair=_artifact(folder, "UniswapV2Pair"))


def open_pair(
    sender: Sender, exchange: UniswapV2, amounts: tuple[tuple[Contract, int], tuple[Contract, int]]
) -> Contract:
    """Queue a pair of two tokens with these raw amounts of the sender's; return the pair."""
    (one, _), (other, _) = amounts
    pair = exchange.pair_of(one.address, other.address)
    sender.call(exchange.factory, "createPair", one.address, other.address)
    for token, amount in amounts:
        sender.call(token, "transfer", pair.address, amount)
    sender.call(pair, "mint", sender.account)
    return pair


def _artifact(folder: Path, name: str) -> Artifact:
    return load_artifact(folder / f"{name}.json")
