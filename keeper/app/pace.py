"""How often and from which size on a deployment does what it does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds, and blocks where said."""

    block_time_s: int
    finality_depth: int
    checkpoint_every: int
    """Blocks between two checkpoints."""
