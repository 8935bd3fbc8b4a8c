"""``config/protocols/<protocol>.<chain>.yaml``: one deployment of a lending protocol."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from keeper.config.oracle_section import OracleSettings
from keeper.config.section import Section
from keeper.config.values import FeedName, Name, Positive, Whole


class ProtocolSettings(Section):
    """A deployment. What only its adapter understands is under ``parameters``."""

    protocol: Name
    """The adapter: a folder of ``keeper/protocols``."""
    chain: Name
    deployment: Name | None = None
    """Name in plans and books; None is ``<protocol>.<chain>``."""
    enabled: bool = True
    start_block: Whole
    """Block of the deployment's first log. Later than the truth, and borrowers are missed."""
    min_debt_base: Whole = 0
    """Accounts that owe less are not planned for. Units of the protocol's base currency."""
    heartbeats_s: Annotated[Mapping[FeedName, Positive], Field(default_factory=dict)]
    """Feed, by its label or its source's address, to the seconds after which it is stale."""
    oracle: Annotated[OracleSettings, Field(default_factory=OracleSettings)]
    parameters: dict[str, object]

    @property
    def name(self) -> str:
        """Return the deployment's name."""
        return self.deployment or f"{self.protocol}.{self.chain}"
