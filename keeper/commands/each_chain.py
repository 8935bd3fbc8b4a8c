"""A command over the chains of a configuration, one after the other.

A chain that fails does not stop the others; when all are done, what failed is said.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from keeper.config.fleet import Fleet
from keeper.config.settings import Settings
from keeper.core.errors import KeeperError

T = TypeVar("T")


def of_one_block(fleet: Fleet, name: str | None, block: int | None) -> tuple[Settings, ...]:
    """Return the chains that are meant: a block is of one. Raises ConfigError."""
    if block is None:
        return fleet.only(name)
    return (fleet.one(name, f"block {block} is of one chain"),)


async def on_each(chains: Sequence[Settings], work: Callable[[Settings], Awaitable[T]]) -> list[T]:
    """Return what ``work`` made of each chain. Raises what failed, once all have had their turn."""
    done: list[T] = []
    failed: list[KeeperError] = []
    for one in chains:
        try:
            done.append(await work(one))
        except KeeperError as error:
            failed.append(error)
    raise_together(failed)
    return done


def at_each(chains: Sequence[Settings], work: Callable[[Settings], T]) -> list[T]:
    """Do the same for work that waits for nothing."""
    done: list[T] = []
    failed: list[KeeperError] = []
    for one in chains:
        try:
            done.append(work(one))
        except KeeperError as error:
            failed.append(error)
    raise_together(failed)
    return done


def raise_together(failed: Sequence[KeeperError]) -> None:
    """Raise an error as it is, several as a group, none not at all."""
    if len(failed) == 1:
        raise failed[0]
    if failed:
        msg = "several chains failed"
        raise ExceptionGroup(msg, list(failed))
