"""Balancer V2's vault: the published bytecode, for its loans."""

from typing import Final

from eth_utils.crypto import keccak

from keeper.core.units import Address
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.packages import Progress, ensure, quiet
from keeper.devnet.sender import Sender

PACKAGE: Final = "balancer-v2-vault"

_ARTIFACT = "dist/tasks/20210418-vault/artifact/Vault.json"
_SET_FEE: Final = keccak(text="setFlashLoanFeePercentage(uint256)")[:4]


def vault_artifact(*, progress: Progress = quiet) -> Artifact:
    """Return what the vault of every public chain was deployed from."""
    return load_artifact(ensure(PACKAGE, progress=progress) / _ARTIFACT)


def deploy_vault(
    sender: Sender, *, authorizer: Address, weth: Address, progress: Progress = quiet
) -> Contract:
    """Queue the vault. It lends whatever tokens it holds, at no fee until one is set."""
    return sender.deploy(vault_artifact(progress=progress), authorizer, weth, 0, 0)


def queue_fee(sender: Sender, collector: Address, fee: int) -> None:
    """Queue setting the fee of loans, a fraction in 18 decimals, by the authorizer's leave."""
    sender.add("set the fee of loans", to=collector, data=_SET_FEE + fee.to_bytes(32))
