"""``config/protocols/<protocol>.<chain>.yaml``: one deployment of a lending protocol."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from keeper.config.oracle_section import OracleSettings
from keeper.config.section import Section
from keeper.config.values import FeedName, Name, Positive, Wei, Whole


def _some(amount: int) -> int:
    """Return an amount that is more than nothing."""
    if amount == 0:
        msg = "expected more than 0 wei; leave out forced to allow no loss"
        raise ValueError(msg)
    return amount


class ForcedSettings(Section):
    """What may be lost to close loans whose collateral will not cover their debt."""

    max_loss_per_tx_wei: Annotated[Wei, AfterValidator(_some)]
    """The most that one transaction may lose: its gas, at its limit and its highest fee."""
    max_loss_per_day_wei: Annotated[Wei, AfterValidator(_some)]
    """The most that the last day's lost and what is in flight may still lose together."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse a day's budget that not one transaction fits in."""
        day, each = self.max_loss_per_day_wei, self.max_loss_per_tx_wei
        if day < each:
            least = f"at least max_loss_per_tx_wei, {each}"
            msg = f"expected max_loss_per_day_wei of {least}, found {day}"
            raise ValueError(msg)
        return self


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
    forced: ForcedSettings | None = None
    """Allows losses on insolvent accounts, up to a budget; without it none is made on purpose."""
    parameters: dict[str, object]

    @property
    def name(self) -> str:
        """Return the deployment's name."""
        return self.deployment or f"{self.protocol}.{self.chain}"
