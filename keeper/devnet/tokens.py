"""The tokens: a real WETH9 that wraps real ether, and mintable ERC-20s for the rest."""

from collections.abc import Mapping
from pathlib import Path

from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.sender import Sender

WRAPPED_ETHER = "WETH"


def token_artifacts(core: Path) -> dict[str, Artifact]:
    """Return what each asset's token is deployed from, by symbol."""
    contracts = core / "artifacts" / "contracts"
    weth9 = load_artifact(contracts / "dependencies/weth/WETH9.sol/WETH9.json")
    mintable = load_artifact(contracts / "mocks/tokens/MintableERC20.sol/MintableERC20.json")
    return {symbol: weth9 if symbol == WRAPPED_ETHER else mintable for symbol in ASSETS}


def deploy_tokens(sender: Sender, core: Path) -> dict[str, Contract]:
    """Queue the deployment of every asset's token, from Aave's own package."""
    made: dict[str, Contract] = {}
    for symbol, artifact in token_artifacts(core).items():
        spec = ASSETS[symbol]
        named = () if symbol == WRAPPED_ETHER else (spec.name, symbol, spec.decimals)
        made[symbol] = sender.deploy(artifact, *named)
    return made


def fund(
    sender: Sender, tokens: Mapping[str, Contract], recipient: Address, amounts: Mapping[str, int]
) -> None:
    """Queue giving `recipient` raw amounts: minted, or for WETH wrapped from the sender's ether."""
    for symbol, amount in amounts.items():
        token = tokens[symbol]
        if symbol != WRAPPED_ETHER:
            function = "mint(address,uint256)"
            sender.call(token, function, recipient, amount)
            continue
        sender.call(token, "deposit", value=amount)
        if recipient != sender.account:
            sender.call(token, "transfer", recipient, amount)


def approve_all(sender: Sender, tokens: Mapping[str, Contract], spender: Address) -> None:
    """Queue unlimited allowances of the sender's tokens."""
    for token in tokens.values():
        sender.call(token, "approve", spender, 2**256 - 1)
