"""One look at every loan of a configuration, without a daemon."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

from keeper.app.addresses import require_contracts
from keeper.app.opening import adapters, opened_chain
from keeper.app.prices import oracle_policy
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, StaleError
from keeper.core.lending import AccountRef
from keeper.core.ports import ProtocolAdapter, Reader
from keeper.mirror.mirror import Mirror
from keeper.oracle.policy import NO_POLICY, OraclePolicy
from keeper.oracle.watcher import PriceWatcher
from keeper.scanner.scan import Book, Scan, scan

M = TypeVar("M")
P = TypeVar("P")

Progress = Callable[[str, int, int], None]


class Look(Struct, Generic[M, P], frozen=True, kw_only=True):
    """What one deployment looked like at a block."""

    adapter: ProtocolAdapter[M, P]
    positions: Mapping[AccountRef, P]
    scan: Scan[M]


async def look(
    settings: Settings, *, block: int | None, progress: Progress
) -> AsyncIterator[Look[Any, Any]]:
    """Yield each enabled deployment as of a block (the head when None), at its own timestamp.

    Raises ConfigError when the node does not know the block's state, and, once the others have
    been shown, for a deployment that cannot be read.
    """
    async with opened_chain(settings) as chain:
        head = await chain.reader.head()
        await require_contracts(settings, chain.reader, head)
        if block is not None:
            head = await _block(chain.reader, block, head)
        refused: list[ConfigError] = []
        for adapter in adapters(settings):
            try:
                policy = oracle_policy(settings, adapter.deployment)
                yield await look_at(adapter, chain.reader, head, progress, policy=policy)
            except StaleError as error:
                raise too_old(head, error) from error
            except ConfigError as error:
                refused.append(error)
        if refused:
            raise ConfigError("\n".join(map(str, refused)))


async def look_at(
    adapter: ProtocolAdapter[M, P],
    reader: Reader,
    block: BlockRef,
    progress: Progress,
    *,
    policy: OraclePolicy = NO_POLICY,
) -> Look[M, P]:
    """Read one deployment whole at a block and scan it at the block's own timestamp."""
    mirror: Mirror[M, P] = Mirror(adapter, reader)
    snapshot = await mirror.start(block, None, progress)
    watcher = PriceWatcher(reader, policy)
    await watcher.follow(adapter.feeds(snapshot.market), block)
    prices = await watcher.first(block)
    book = Book(
        block=block,
        market=snapshot.market,
        positions=snapshot.positions,
        prices=prices.prices,
        problems=prices.problems,
    )
    found = scan(adapter, book, number=block.number, timestamp=block.timestamp, trigger="a look")
    return Look(adapter=adapter, positions=snapshot.positions, scan=found)


def too_old(block: BlockRef, error: StaleError) -> ConfigError:
    """Return what to say of a block that the node has forgotten."""
    why = "the node does not have its state (any more); an archive node has"
    return ConfigError(
        f"--block: expected one that the node can read, found {block.number}: {why}: {error}"
    )


async def _block(reader: Reader, number: int, head: BlockRef) -> BlockRef:
    if number > head.number:
        msg = f"--block: expected at most the head, {head.number}, found {number}"
        raise ConfigError(msg)
    return await reader.block(number)
