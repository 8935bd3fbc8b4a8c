"""The releases of Aave V3 that a local market can run on."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.devnet.aave import Aave, aave_artifacts, deploy_aave, list_reserves
from keeper.devnet.aave_v36 import deploy_aave_v36, list_reserves_v36
from keeper.devnet.aave_v36_source import aave_v36_artifacts
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.packages import Progress, ensure
from keeper.devnet.sender import Sender

OLDEST = "3.0"

Artifacts = Mapping[str, Artifact]
"""By the contracts' names in 3.0."""


class Release(Struct, frozen=True, kw_only=True):
    """How a release is had, deployed and given its reserves."""

    version: str
    artifacts: Callable[[Progress], Artifacts]
    deploy: Callable[
        [Sender, Artifacts, Mapping[str, tuple[Address, Address]], Address],
        Aave,
    ]
    list_reserves: Callable[[Sender, Artifacts, Aave, Mapping[str, Contract]], None]


def release_of(version: str) -> Release:
    """Return a release by its version; raise ConfigError when there is none of that name."""
    if version not in RELEASES:
        raise ConfigError(f"Aave V3: expected release {' or '.join(RELEASES)}, found {version!r}")
    return RELEASES[version]


def _published(progress: Progress) -> Artifacts:
    return aave_artifacts(ensure("aave-core-v3", progress=progress))


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        OLDEST: Release(
            version=OLDEST,
            artifacts=_published,
            deploy=deploy_aave,
            list_reserves=list_reserves,
        ),
        "3.6": Release(
            version="3.6",
            artifacts=aave_v36_artifacts,
            deploy=deploy_aave_v36,
            list_reserves=list_reserves_v36,
        ),
    }
)
