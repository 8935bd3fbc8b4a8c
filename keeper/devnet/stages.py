"""The lending protocols that the local market is staged with, found by their module's name."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

from msgspec import Struct

import keeper.devnet
from keeper.core.units import Address
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import Progress, quiet
from keeper.devnet.releases import OLDEST, RELEASES

_PREFIX = "stage_"


class Wanted(Struct, frozen=True, kw_only=True):
    """What a stage is to be like."""

    seed: int
    borrowers: int
    aave: str = OLDEST
    """Release of Aave V3, which lends within transactions on every stage."""
    progress: Progress = quiet


class DeploymentFile(Struct, frozen=True, kw_only=True):
    """What the keeper's file of a protocol says."""

    protocol: str
    start_block: int
    parameters: Mapping[str, object]


class Scene(Struct, frozen=True, kw_only=True):
    """A protocol with borrowers on the local market."""

    live: LiveMarket
    deployment: DeploymentFile
    under_water: Callable[[], Sequence[Address]]
    """Asks the protocol itself which borrowers may be liquidated now."""


class Choice(NamedTuple):
    """A word that was typed for an option, and those that there are."""

    option: str
    known: tuple[str, ...]
    found: str


def choices(protocol: str, wanted: Wanted) -> tuple[Choice, ...]:
    """Return what a stage may be asked for by name, to be checked before it is built."""
    return (
        Choice(option="--protocol", known=stage_names(), found=protocol),
        Choice(option="--aave", known=tuple(RELEASES), found=wanted.aave),
    )


def stage_names() -> tuple[str, ...]:
    """Return the protocols that there is a stage of."""
    found = (one.name for one in pkgutil.iter_modules(keeper.devnet.__path__))
    return tuple(sorted(n.removeprefix(_PREFIX) for n in found if n.startswith(_PREFIX)))


def staged(protocol: str, rpc_url: str, wanted: Wanted) -> Scene:
    """Build the market and the protocol on the empty anvil at ``rpc_url``.

    ``protocol`` is one of ``stage_names``. Raises ConfigError when the market cannot be built.
    """
    module = importlib.import_module(f"keeper.devnet.{_PREFIX}{protocol}")
    return cast("Scene", module.stage(rpc_url, wanted))
