"""Free loans within one transaction: Morpho Blue's ``flashLoan``, a ``core.ports.FlashSource``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.core.chain import BlockRef, Log
from keeper.core.plan import Funding, LoanKind
from keeper.core.ports import Reader
from keeper.core.units import Address, address_of_word
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import WORD, ask_address, int_at, topic

FLASH_LOAN_TOPIC: Final = topic("FlashLoan(address,address,uint256)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MorphoLoanBook:
    """What Morpho holds, of all its markets together, at one block: it lends any of that."""

    source: str
    morpho: Address
    held: Mapping[Address, int]

    def most(self, asset: Address) -> int:
        """Return the most that can be borrowed, raw units; 0 when nothing can."""
        return self.held.get(asset, 0)

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the loan, which costs nothing, or None when there is not as much."""
        if amount > self.most(asset):
            return None
        return Funding(
            source=self.source,
            lender=self.morpho,
            asset=asset,
            amount=amount,
            fee=0,
            kind=LoanKind.FLASH_PLAIN,
        )


class MorphoFlashSource:
    """Borrows from one Morpho Blue."""

    def __init__(
        self, reader: Reader, *, morpho: Address, executor: Address, name: str = "morpho_blue"
    ) -> None:
        """Borrow for ``executor``."""
        self._reader = reader
        self._morpho = morpho
        self._executor = executor
        self._name = name

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        return self._name

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> MorphoLoanBook:
        """Read what Morpho holds of each asset; a token that does not answer cannot be borrowed."""
        wanted = sorted(set(assets))
        calls = [ask_address(asset, BALANCE_OF, self._morpho) for asset in wanted]
        answers = await self._reader.call_many(calls, block) if calls else []
        held = {
            asset: int_at(answer.data, 0)
            for asset, answer in zip(wanted, answers, strict=True)
            if answer.success and len(answer.data) >= WORD
        }
        return MorphoLoanBook(source=self._name, morpho=self._morpho, held=held)

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the asset of the executor's loan and a fee of nothing, None without a loan."""
        for log in logs:
            if log.address != self._morpho or log.topics[:1] != (FLASH_LOAN_TOPIC,):
                continue
            if address_of_word(log.topics[1]) == self._executor:
                return address_of_word(log.topics[2]), 0
        return None
