"""One account as we have it and as the chain has it."""

from collections.abc import Mapping

from msgspec import Struct


class Sides(Struct, frozen=True, kw_only=True):
    """The same figures of one account from the mirror and from the chain, at one block.

    Which figures is the adapter's choice: best are those that the protocol itself decides by.
    """

    mirror: Mapping[str, int]
    chain: Mapping[str, int]
    """Empty when the protocol refused to answer."""

    @property
    def agree(self) -> bool:
        """Return whether both are the same, to the last unit."""
        return self.mirror == self.chain

    def __str__(self) -> str:
        """Return the figures that differ, mirror first."""
        names = sorted(self.mirror.keys() | self.chain.keys())
        return ", ".join(
            f"{name} {self.mirror.get(name, 'none')} in the mirror, "
            f"{self.chain.get(name, 'none')} on chain"
            for name in names
            if self.mirror.get(name) != self.chain.get(name)
        )
