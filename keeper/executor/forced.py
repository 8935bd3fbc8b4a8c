"""What forced liquidations may lose, by deployment.

Whatever a forced transaction does, it costs no more than its gas: the executor contract reverts
when the recipient holds less of the native coin than before. The most that its gas can be, at its
limit and its highest fee, is what is held against the budget, also of one that would earn.
"""

from collections.abc import Mapping

from msgspec import Struct


class ForcedLimits(Struct, frozen=True, kw_only=True):
    """What the forced liquidations of a deployment may lose. Wei."""

    max_loss_per_tx: int
    max_loss_per_day: int


def forced_refusal(
    deployment: str, worst: int, limits: Mapping[str, ForcedLimits], taken: int
) -> str | None:
    """Return which forced budget one more transaction would break, and by how much, or None.

    ``worst`` is the most that it may lose; ``taken`` what the deployment's others lost in a day and
    may still lose. All wei.
    """
    found = limits.get(deployment)
    if found is None:
        return f"{deployment} may lose nothing: forced mode is off"
    checks = (
        ("a forced liquidation", worst, found.max_loss_per_tx),
        ("forced liquidations in a day", taken + worst, found.max_loss_per_day),
    )
    for what, most, cap in checks:
        if most > cap:
            return f"{what} could lose {most} wei, {most - cap} wei over the budget of {cap} wei"
    return None
