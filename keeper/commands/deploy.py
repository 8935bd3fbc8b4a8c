"""``keeper deploy``: put the on-chain executor, and a treasury's inventory, on a chain.

They go through the deterministic deployment proxy, so that an address follows from the roles alone:
it can be named before it is paid for, and is the same on every chain with the same roles.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from keeper.app.executor_contract import ARTIFACT, read_executor
from keeper.app.opening import opened_chain
from keeper.app.outside import signers_of
from keeper.app.session import Keys
from keeper.chain.fees import fees_for
from keeper.chain.session import Chain
from keeper.commands.arming import armings
from keeper.commands.console import say, stdout
from keeper.commands.each_chain import on_each
from keeper.commands.typed import typed_address
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef, Transaction
from keeper.core.errors import ConfigError, RefusedError
from keeper.core.ports import Reader, Signer
from keeper.core.units import Address, address_bytes
from keeper.evm.artifacts import load_artifact
from keeper.evm.hashing import keccak256
from keeper.evm.words import WORD, address_at, ask, selector

PROXY: Final = Address("0x4e59b44847b379578588920ca78fbf26c0b4956c")
"""Arachnid's deterministic deployment proxy: calldata is a salt and the creation code."""

_SALT: Final = bytes(32)
_GAS_LIMIT: Final = 4_000_000
_GAS_PER_OPERATOR: Final = 60_000
_INVENTORY_GAS_LIMIT: Final = 1_500_000
_OWNER: Final = selector("owner()")
_EXECUTOR: Final = selector("executor()")
_TREASURY: Final = selector("treasury()")
_PATIENCE_BLOCKS: Final = 25


class Roles(Struct, frozen=True, kw_only=True):
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
        """Where the proxy puts a contract with these roles."""
        return _placed(self.creation)


class InventoryRoles(Struct, frozen=True, kw_only=True):
    """Whose tokens the inventory lends, and to which executor alone."""

    executor: Address
    treasury: Address

    @property
    def creation(self) -> bytes:
        """The creation code with the roles as constructor arguments."""
        return load_artifact("Inventory").creation(self.executor, self.treasury)

    @property
    def address(self) -> Address:
        """Where the proxy puts a contract with these roles."""
        return _placed(self.creation)


def _placed(creation: bytes) -> Address:
    """Return where the proxy puts what this code creates (EIP-1014)."""
    digest = keccak256(b"\xff" + address_bytes(PROXY) + _SALT + keccak256(creation))
    return Address("0x" + digest[12:].hex())


class _Contract(Struct, frozen=True, kw_only=True):
    """One contract to put on a chain."""

    what: str
    address: Address
    creation: bytes
    gas_limit: int
    check: Callable[[Reader, BlockRef], Awaitable[str]]
    """Say which of its roles are others by now, nothing when none is; raises for other code."""


async def deploy(
    config: Path,
    *,
    owner: str,
    operators: Sequence[str],
    recipient: str,
    arm: bool,
    treasury: str | None = None,
    chain: str | None = None,
) -> None:
    """Show where the executor would be; with ``arm``, pay for it with the configured key.

    With ``treasury`` the same is done of the inventory that lends its tokens to that executor.
    Addresses are the same on every chain. Of several chains, those that are armed get them.
    """
    chains = load_fleet(config).only(chain)
    roles = Roles(
        owner=typed_address("--owner", owner),
        operators=tuple(sorted({typed_address("--operator", one) for one in operators})),
        recipient=typed_address("--recipient", recipient),
    )
    wanted = [_executor(roles)]
    if treasury is not None:
        lent = InventoryRoles(
            executor=roles.address, treasury=typed_address("--treasury", treasury)
        )
        wanted.append(_inventory(lent))
    keys = armings(chains, os.environ, arm=arm)
    by_chain = {one.chain.name: key for one, key in zip(chains, keys, strict=True)}
    await on_each(chains, lambda one: _deploy(one, wanted, by_chain[one.chain.name]))
    for contract in wanted:
        stdout.print(f"{contract.what}: {contract.address}", highlight=False)


def _executor(roles: Roles) -> _Contract:
    async def check(reader: Reader, head: BlockRef) -> str:
        found = await read_executor(reader, roles.address, head)
        (owner,) = await reader.call_many([ask(roles.address, _OWNER)], head)
        both = (
            ("owner", address_at(owner.data, 0), roles.owner),
            ("operators", ", ".join(sorted(found.operators)) or "none", ", ".join(roles.operators)),
            ("recipient", found.recipient, roles.recipient),
        )
        return "; ".join(f"{name} {is_now}" for name, is_now, was in both if is_now != was)

    return _Contract(
        what="executor",
        address=roles.address,
        creation=roles.creation,
        gas_limit=_GAS_LIMIT + _GAS_PER_OPERATOR * len(roles.operators),
        check=check,
    )


def _inventory(roles: InventoryRoles) -> _Contract:
    async def check(reader: Reader, head: BlockRef) -> str:
        calls = [ask(roles.address, one) for one in (_EXECUTOR, _TREASURY)]
        answers = await reader.call_many(calls, head)
        found = [address_at(one.data, 0) if len(one.data) == WORD else None for one in answers]
        expected = [roles.executor, roles.treasury]
        if found != expected:
            msg = f"{roles.address}: expected an inventory of {expected}, found {found}"
            raise ConfigError(msg)
        return ""  # they cannot change

    return _Contract(
        what="inventory",
        address=roles.address,
        creation=roles.creation,
        gas_limit=_INVENTORY_GAS_LIMIT,
        check=check,
    )


async def _deploy(settings: Settings, wanted: Sequence[_Contract], keys: Keys | None) -> None:
    async with (
        opened_chain(settings) as chain,
        signers_of(settings, armed=keys is not None) as remote,
    ):
        for contract in wanted:
            head, name = await chain.reader.head(), f"{settings.chain.name}: {contract.what}"
            if await chain.reader.code(contract.address, head):
                others = await contract.check(chain.reader, head)
                said = (
                    f"but its roles were changed since: {others}" if others else "with these roles"
                )
                say(f"{name}: it is there already, {said}")
            elif keys is None:
                say(f"{name}: disarmed: nothing was sent; with --arm it is deployed there")
            else:
                await _send(settings, chain, head, contract, [*keys(), *remote][0])


async def _send(
    settings: Settings, chain: Chain, head: BlockRef, contract: _Contract, signer: Signer
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
        Transaction(sender=signer.address, to=PROXY, data=_SALT + contract.creation),
        nonce=await chain.wire.nonce(signer.address, pending=True),
        gas_limit=contract.gas_limit,
        fees=fees,
    )
    await chain.wire.send_raw(raw)
    say(f"sent {contract.what} {tx_hash}; waiting for its block")
    for _ in range(_PATIENCE_BLOCKS * 4):
        receipt = await chain.wire.receipt(tx_hash)
        if receipt is not None:
            await contract.check(chain.reader, await chain.reader.head())
            say(f"deployed in block {receipt.block_number} for {receipt.gas_used:,} gas")
            return
        await asyncio.sleep(settings.chain.block_time_s / 4)
    msg = f"{tx_hash}: expected a receipt within {_PATIENCE_BLOCKS} blocks, found none"
    raise RefusedError(msg)
