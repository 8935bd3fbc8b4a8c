"""A keeper from its settings, opened and closed as one."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

from keeper.app.addresses import require_contracts
from keeper.app.executor_contract import ExecutorContract, pretend, read_executor
from keeper.app.inventories import require_own_inventories
from keeper.app.keeper import Keeper
from keeper.app.observer import Observer
from keeper.app.opening import opened_chain
from keeper.app.outside import offers_of, relays_of
from keeper.app.totals import require_dollars
from keeper.app.wiring import Parts, assemble
from keeper.chain.agreed import require_agreed
from keeper.chain.session import Chain
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, StaleError
from keeper.core.ports import Signer
from keeper.core.units import Address
from keeper.executor.totals import Share
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity
from keeper.runtime.awake import awake
from keeper.runtime.clock import Clock, SystemClock

TRIES: Final = 5
"""How often a start looks for a head that enough nodes have."""

Keys = Callable[[], Sequence[Signer]]
"""Reads the keys, each of which is a signer of its own."""


class Session(Struct, frozen=True, kw_only=True):
    """An open keeper, ready to run at ``head``."""

    chain: Chain
    journal: SqliteJournal
    contract: ExecutorContract
    keeper: Keeper
    head: BlockRef
    share: Share | None
    """Its part of the budgets over several chains, None where there is no such thing."""


@asynccontextmanager
async def keeper_session(
    settings: Settings,
    observer: Observer,
    *,
    signer: Keys | None = None,
    clock: Clock | None = None,
    share: Share | None = None,
) -> AsyncIterator[Session]:
    """Open chain, journal and executor contract, and wire a keeper.

    ``signer`` is called, and keys read, only when everything else is in order; without it the
    keeper is disarmed. ``share`` is the chain's part of the budgets over several chains. Raises
    ConfigError for whatever is not as configured.
    """
    chosen = clock or SystemClock()
    async with (
        opened_chain(settings) as chain,
        relays_of(settings) as dial,
        offers_of(settings) as offers,
        AsyncExitStack() as stack,
    ):
        if settings.sending.keep_awake:
            stack.enter_context(awake(f"{settings.path}: sending.keep_awake"))
        await chain.simulator.probe()
        head = await _agreed_head(chain)
        await require_contracts(settings, chain.reader, head)
        if share is not None and share.needs_price:
            await require_dollars(settings.chain, settings.chain_path, chain.reader, head)
        contract = await _contract(settings, chain, head)
        await require_own_inventories(settings, chain.agreed, head)
        genesis = await chain.reader.block(0)
        identity = ChainIdentity(chain_id=settings.chain.chain_id, genesis_hash=genesis.hash)
        journal = await SqliteJournal.open(settings.database, identity, clock=chosen)
        try:
            armed = _armed(settings, signer, contract)
            if armed:
                contract = contract.run_by(armed[0].address)
            parts = Parts(
                chain=chain,
                journal=journal,
                contract=contract,
                signers=armed,
                observer=observer,
                clock=chosen,
                dial=dial,
                offers=offers,
                share=share,
            )
            keeper = await assemble(settings, parts)
            if share is not None:
                await share.look(head)
            yield Session(
                chain=chain,
                journal=journal,
                contract=contract,
                keeper=keeper,
                head=head,
                share=share,
            )
        finally:
            await journal.close()


async def _agreed_head(chain: Chain) -> BlockRef:
    """Return a head that enough nodes have: one of them may be a moment behind."""
    for _ in range(TRIES - 1):
        head = await chain.reader.head()
        with suppress(StaleError):
            await require_agreed(chain.agreed, head)
            return head
    head = await chain.reader.head()
    await require_agreed(chain.agreed, head)
    return head


async def _contract(settings: Settings, chain: Chain, head: BlockRef) -> ExecutorContract:
    """Return the configured executor, or a pretended one."""
    if settings.executor is None:
        return pretend(settings.recipient)
    try:
        contract = await read_executor(chain.agreed, settings.executor, head)
    except ConfigError as error:
        msg = f"{settings.path}: {error}"
        raise ConfigError(msg) from error
    if settings.recipient is not None and settings.recipient != contract.recipient:
        msg = (
            f"{settings.path}: recipient: expected the executor's, {contract.recipient}, "
            f"found {settings.recipient}"
        )
        raise ConfigError(msg)
    return contract


def _require_once(settings: Settings, addresses: Sequence[Address]) -> None:
    """Raise ConfigError where a key is there twice, as at hand and with a web3signer.

    Each signer has nonces, and tends what is in flight, as the only one of its address.
    """
    twice = next((one for one in addresses if addresses.count(one) > 1), None)
    if twice is not None:
        msg = f"{settings.path}: operator: expected each key once, found that of {twice} twice"
        raise ConfigError(msg)


def _armed(settings: Settings, keys: Keys | None, contract: ExecutorContract) -> tuple[Signer, ...]:
    """Read the keys when asked to, and check that each may run programs."""
    if keys is None:
        return ()
    if settings.executor is None:
        expected = "expected the address of a deployed Liquidator"
        msg = f"{settings.path}: executor: {expected}, found none configured"
        raise ConfigError(msg)
    signers = tuple(keys())
    _require_once(settings, [one.address for one in signers])
    for one in signers:
        if one.address not in contract.operators:
            expected = f"expected operator {one.address} (the key's)"
            found = ", ".join(contract.operators) or "none: the contract is disarmed"
            msg = f"{settings.path}: executor: {expected}, found {found}"
            raise ConfigError(msg)
    return signers
