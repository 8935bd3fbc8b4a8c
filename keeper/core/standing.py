"""Whether sending is allowed, and what is counted towards stopping it."""

from collections.abc import Mapping

from msgspec import Struct, field


class StandingRow(Struct, frozen=True, kw_only=True):
    """What the database says about sending. Unix seconds."""

    halted: str | None
    """Why nothing is sent, None when it may be."""
    since: int
    """When it was halted or, where it is not, when a person last let sending go on."""
    rearmed: int
    """What is dated before this counts no more towards the breaker; 0 where nobody rearmed yet."""


class Tally(Struct, frozen=True, kw_only=True):
    """What outcomes cost lately. Wei."""

    reverts_in_row: int
    """Reverted outcomes since the last that landed."""
    loss: int
    """By how much the outcomes of the window together lost; negative when they earned.

    What was forced is not in it.
    """
    wasted: int
    """Gas of the outcomes of the last hour that earned nothing and were not forced."""
    forced: Mapping[str, int] = field(default_factory=dict)
    """What the forced outcomes of the window lost, by deployment."""


class Spent(Struct, frozen=True, kw_only=True):
    """What the outcomes of an hour and of a day took of the budgets. Wei."""

    hour: int
    """Gas."""
    day: int
    """Gas."""
    forced: Mapping[str, int]
    """What the forced outcomes of the day lost, by deployment."""
