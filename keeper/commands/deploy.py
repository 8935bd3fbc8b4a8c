"""``keeper deploy``: put the on-chain executor on the configured chain.

It goes through the deterministic deployment proxy, so its address follows from its roles alone: it
can be named before it is paid for, and is the same on every chain with the same roles.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keeper.app.executor_contract import ARTIFACT, read_executor
from keeper.app.opening import opened_chain
from keeper.app.session import Keys
from keeper.app.signers import remote_signers
from keeper.chain.fees import fees_for
from keeper.chain.session import Chain
from keeper.commands.arming import armings
from keeper.commands.console import say, stdout
from keeper.commands.each_chain import on_each
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef, Transaction
from keeper.core.errors import ConfigError, RefusedError
from keeper.core.ports import Signer
from keeper.core.units import Address, address, address_bytes
from keeper.evm.artifacts import load_artifact
from keeper.evm.hashing import keccak256

PROXY: Final = Address("0x4e59b44847b379578588920ca78fbf26c0b4956c")
"""Arachnid's deterministic deployment proxy: calldata is a salt and the creation code."""

_SALT: Final = bytes(32)
_GAS_LIMIT: Final = 4_000_000
_GAS_PER_OPERATOR: Final = 60_000
_PATIENCE_BLOCKS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who may do what with the executor contract."""

    owner: Address
    operators: tuple[Address, ...]
    """In ascending order, so that the address does not depend on how they were given."""
    recipient: Address

    @property
    def creation(self) -> bytes:
        """The creation code with the roles as constructor arguments."""
        return load_artifact(ARTIFACT).creation(self.owner, self.operators, self.recipient)

    @property
    def address(self) -> Address:
        """Where the proxy puts a contract with these roles (EIP-1014)."""
        digest = keccak256(b"\xff" + address_bytes(PROXY) + _SALT + keccak256(self.creation))
        return Address("0x" + digest[12:].hex())


async def deploy(
    config: Path,
    *,
    owner: str,
    operators: Sequence[str],
    recipient: str,
    arm: bool,
    chain: str | None = None,
) -> None:
    """Show where the executor would be; with ``arm``, pay for it with the configured key.

    Its address is the same on every chain. Of several chains, those that are armed get it.
    """
    chains = load_fleet(config).only(chain)
    roles = Roles(
        owner=_role("--owner", owner),
        operators=tuple(sorted({_role("--operator", one) for one in operators})),
        recipient=_role("--recipient", recipient),
    )
    keys = armings(chains, os.environ, arm=arm)
    by_chain = {one.chain.name: key for one, key in zip(chains, keys, strict=True)}
    await on_each(chains, lambda one: _deploy(one, roles, by_chain[one.chain.name]))
    stdout.print(f"executor: {roles.address}", highlight=False)


async def _deploy(settings: Settings, roles: Roles, keys: Keys | None) -> None:
    name = settings.chain.name
    async with (
        opened_chain(settings) as chain,
        remote_signers(settings, armed=keys is not None) as remote,
    ):
        head = await chain.reader.head()
        if await chain.reader.code(roles.address, head):
            say(f"{name}: it is there already, with these roles")
        elif keys is None:
            say(f"{name}: disarmed: nothing was sent; with --arm it is deployed there")
        else:
            await _send(settings, chain, head, roles, [*keys(), *remote][0])


def _role(option: str, text: str) -> Address:
    try:
        return address(text)
    except ValueError as error:
        msg = f"{option}: {error}"
        raise ConfigError(msg) from error


async def _send(
    settings: Settings, chain: Chain, head: BlockRef, roles: Roles, signer: Signer
) -> None:
    """Send the deployment and wait until the code is there."""
    if not await chain.reader.code(PROXY, head):
        msg = f"{settings.chain.name}: expected the deployment proxy at {PROXY}, found no code"
        raise ConfigError(msg)
    fees = fees_for(
        head,
        priority_fee=settings.chain.priority_fee_wei,
        max_fee_cap=settings.limits.max_gas_price_wei,
    )
    raw, tx_hash = await signer.sign_soon(
        Transaction(sender=signer.address, to=PROXY, data=_SALT + roles.creation),
        nonce=await chain.wire.nonce(signer.address, pending=True),
        gas_limit=_GAS_LIMIT + _GAS_PER_OPERATOR * len(roles.operators),
        fees=fees,
    )
    await chain.wire.send_raw(raw)
    say(f"sent {tx_hash}; waiting for its block")
    for _ in range(_PATIENCE_BLOCKS * 4):
        receipt = await chain.wire.receipt(tx_hash)
        if receipt is not None:
            await read_executor(chain.reader, roles.address, await chain.reader.head())
            say(f"deployed in block {receipt.block_number} for {receipt.gas_used:,} gas")
            return
        await asyncio.sleep(settings.chain.block_time_s / 4)
    msg = f"{tx_hash}: expected a receipt within {_PATIENCE_BLOCKS} blocks, found none"
    raise RefusedError(msg)
