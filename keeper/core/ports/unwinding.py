"""What rooms ask of a token that no pool trades: what it is redeemed for, and how."""

from collections.abc import Sequence
from typing import Protocol

from keeper.core.chain import BlockRef
from keeper.core.lending import ProtocolCall
from keeper.core.plan import Funding, Underlying
from keeper.core.units import Address


class UnwindBook(Protocol):
    """What shares of one kind are redeemed for at one block, or after plans. Immutable, pure."""

    @property
    def kind(self) -> str:
        """Return the kind's name in plans: ``erc4626``."""
        ...

    @property
    def underlying(self) -> Underlying:
        """Return the token that shares are redeemed for."""
        ...

    @property
    def gas(self) -> int:
        """Return the gas expected of redeeming."""
        ...

    @property
    def refusal(self) -> str | None:
        """Return why nothing at all can be redeemed, None when something can."""
        ...

    @property
    def terms(self) -> str:
        """Return how much can be redeemed and how well that is known, for people."""
        ...

    def redeem(self, received: Sequence[int], *, timestamp: int, funding: Funding | None) -> int:
        """Return what shares bring once they were received in these parts, raw units.

        ``timestamp`` is the target block's, ``funding`` the loan that is out meanwhile. Raises
        RefusedError, with by how much, when as many cannot be redeemed.
        """
        ...

    def worth(self, shares: int) -> int:
        """Return about what shares are worth, raw units, whether or not they can be redeemed."""
        ...

    def call(self, executor: Address) -> ProtocolCall:
        """Return the call that redeems all shares that the executor holds."""
        ...

    def after(self, shares: int, assets: int) -> "UnwindBook":
        """Return the book once shares were redeemed for ``assets``."""
        ...


class Unwinder(Protocol):
    """Reads what one token is redeemed for."""

    @property
    def share(self) -> Address:
        """Return the token."""
        ...

    async def sold(self, block: BlockRef) -> Address:
        """Return what is swapped instead of the token; read at ``block`` the first time.

        The token itself as long as its contract does not say.
        """
        ...

    async def snapshot(self, block: BlockRef) -> UnwindBook:
        """Read it as of ``block``.

        A contract that does not answer as it should gives a book whose ``refusal`` says so.
        """
        ...
