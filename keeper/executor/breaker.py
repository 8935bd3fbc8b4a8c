"""The circuit breaker: which costs stop all sending until a person has looked."""

from collections.abc import Mapping

from msgspec import Struct, field

from keeper.core.standing import Tally


class BreakerLimits(Struct, frozen=True, kw_only=True):
    """What trips the breaker. Wei unless said; 0 switches a limit off."""

    max_reverts_in_row: int
    max_loss_per_day: int
    max_wasted_gas_per_hour: int
    forced_per_day: Mapping[str, int] = field(default_factory=dict)
    """What forced outcomes may lose without counting as a loss, by deployment."""


def tripped(tally: Tally, limits: BreakerLimits) -> str | None:
    """Return what trips the breaker, in words, or None."""
    over = sum(
        max(lost - limits.forced_per_day.get(name, 0), 0) for name, lost in tally.forced.items()
    )
    checks = (
        ("reverts in a row", tally.reverts_in_row, limits.max_reverts_in_row),
        ("wei lost in a day", tally.loss + over, limits.max_loss_per_day),
        ("wei of gas wasted in an hour", tally.wasted, limits.max_wasted_gas_per_hour),
    )
    for what, found, cap in checks:
        if cap and found >= cap:
            return f"circuit breaker: {found} {what}, the limit is {cap}"
    return None
