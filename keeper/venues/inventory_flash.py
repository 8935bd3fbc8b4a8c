"""The operator's own tokens for one transaction: ``Inventory.sol``, a ``FlashSource``."""

from collections.abc import Collection, Sequence
from typing import Final

from keeper.core.chain import BlockRef, Log
from keeper.core.plan import LoanKind
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import ask_address, selector
from keeper.venues.loan_book import LoanBook, amounts

_MOST: Final = selector("maxFlashLoan(address)")
_GAS: Final = 45_000
"""Of a loan, as measured."""


class InventoryFlashSource:
    """Takes the operator's tokens and gives them back, by ERC-3156, for nothing."""

    def __init__(self, reader: Reader, *, inventory: Address, name: str = "inventory") -> None:
        self._reader = reader
        self._inventory = inventory
        self._name = name

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        return self._name

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        """Read what there is of each asset; one that does not answer cannot be taken."""
        wanted = sorted(set(assets))
        calls = [ask_address(self._inventory, _MOST, asset) for asset in wanted]
        answers = await self._reader.call_many(calls, block) if calls else []
        return LoanBook(
            source=self._name,
            lender=self._inventory,
            kind=LoanKind.FLASH_3156,
            held=amounts(wanted, answers),
            gas=_GAS,
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:  # noqa: ARG002 - of none
        """Return None: there is never a fee."""
        return None
