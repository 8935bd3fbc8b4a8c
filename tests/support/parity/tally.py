"""How much was compared: a comparison of nothing would pass too."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts over all examples of one release."""

    blocks: int = 0
    accounts: int = 0
    foretold: Counter[str] = field(default_factory=Counter)
    mined: Counter[str] = field(default_factory=Counter)
    written_off: int = 0
    second_oracle: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def lines(self, release: str) -> Iterator[str]:
        """Return what to tell people."""
        offers = self.foretold.total()
        yield (
            f"Aave {release}: {self.accounts:,} account states over {self.blocks:,} blocks, "
            f"{offers:,} offers and {self.mined.total():,} mined liquidations foretold, "
            f"{self.written_off:,} deficits, {self.second_oracle.total():,} second opinions"
        )
        counts = {
            "offers": self.foretold,
            "mined": self.mined,
            "second oracle": self.second_oracle,
            "succeeded": self.succeeded,
            "refused": self.refused,
        }
        for name, count in counts.items():
            yield f"  {name}: " + ", ".join(f"{what} {n:,}" for what, n in count.most_common())
