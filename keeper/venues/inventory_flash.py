"""The operator's own tokens for one transaction: ``Inventory.sol``, a ``FlashSource``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.core.chain import BlockRef, Log
from keeper.core.plan import Funding, LoanKind
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import WORD, ask_address, int_at, selector

_MOST: Final = selector("maxFlashLoan(address)")


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryLoanBook:
    """What the treasury holds and lets the inventory take, at one block."""

    source: str
    inventory: Address
    held: Mapping[Address, int]

    def most(self, asset: Address) -> int:
        """Return the most that can be taken, raw units; 0 when nothing can."""
        return self.held.get(asset, 0)

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the tokens, which cost nothing, or None when there is not as much."""
        if amount > self.most(asset):
            return None
        return Funding(
            source=self.source,
            lender=self.inventory,
            asset=asset,
            amount=amount,
            fee=0,
            kind=LoanKind.FLASH_3156,
        )


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

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> InventoryLoanBook:
        """Read what there is of each asset; one that does not answer cannot be taken."""
        wanted = sorted(set(assets))
        calls = [ask_address(self._inventory, _MOST, asset) for asset in wanted]
        answers = await self._reader.call_many(calls, block) if calls else []
        held = {
            asset: int_at(answer.data, 0)
            for asset, answer in zip(wanted, answers, strict=True)
            if answer.success and len(answer.data) >= WORD
        }
        return InventoryLoanBook(source=self._name, inventory=self._inventory, held=held)

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:  # noqa: ARG002 - of none
        """Return None: there is never a fee."""
        return None
