"""What budgets of an hour and of a day must be to each other."""

from collections.abc import Callable

from keeper.config.document import Location
from keeper.config.section import Section
from keeper.core.errors import ConfigError


def require_day_holds_hour(
    budgets: Section, under: str, unit: str, where: Callable[[Location], str]
) -> None:
    """Raise ConfigError for a day's gas that is less than an hour's, which then never holds.

    ``under`` is the section's key, ``where`` tells what a location of the root file comes from.
    """
    hour, day = (f"max_gas_per_{one}_{unit}" for one in ("hour", "day"))
    most_hour, most_day = getattr(budgets, hour), getattr(budgets, day)
    if most_hour is None or most_day is None or most_day >= most_hour:
        return
    wanted = f"at least {under}.{hour}, {most_hour}"
    msg = f"{where((under, day))}: {under}.{day}: expected {wanted}, found {most_day}"
    raise ConfigError(msg)
