"""The ``totals`` section of the root file: what all chains of a keeper together may do."""

from keeper.config.section import Section
from keeper.config.sources import FileSettings
from keeper.config.values import Positive


class TotalSettings(Section):
    """Budgets over all chains, beside those of each. Without a figure there is no such budget."""

    max_in_flight: Positive | None = None
    """Transactions without an outcome at one time."""
    max_gas_per_hour_usd: Positive | None = None
    """Whole US dollars. Each chain's gas counts at the price of its ``native_feed``."""
    max_gas_per_day_usd: Positive | None = None
    """No less than the hour's."""

    @property
    def counts_money(self) -> bool:
        """Return whether a budget needs to know what the native coins are worth."""
        return self.max_gas_per_hour_usd is not None or self.max_gas_per_day_usd is not None


class FleetSettings(FileSettings, env_prefix="KEEPER_"):
    """What the root file of several chains says of all of them together."""

    totals: TotalSettings = TotalSettings()
