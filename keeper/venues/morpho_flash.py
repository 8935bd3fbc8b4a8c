"""Free loans within one transaction: Morpho Blue's ``flashLoan``, a ``core.ports.FlashSource``."""

from collections.abc import Collection, Sequence
from typing import Final

from keeper.core.chain import BlockRef, Log
from keeper.core.plan import LoanKind
from keeper.core.ports import Reader
from keeper.core.units import Address, address_of_word
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import ask_address, topic
from keeper.venues.loan_book import LoanBook, amounts

FLASH_LOAN_TOPIC: Final = topic("FlashLoan(address,address,uint256)")
_GAS: Final = 40_000
"""Of a loan, as measured with the published contract."""


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

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        """Read what Morpho holds of each asset; a token that does not answer cannot be borrowed."""
        wanted = sorted(set(assets))
        calls = [ask_address(asset, BALANCE_OF, self._morpho) for asset in wanted]
        answers = await self._reader.call_many(calls, block) if calls else []
        return LoanBook(
            source=self._name,
            lender=self._morpho,
            kind=LoanKind.FLASH_PLAIN,
            held=amounts(wanted, answers),
            gas=_GAS,
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the asset of the executor's loan and a fee of nothing, None without a loan."""
        for log in logs:
            if log.address != self._morpho or log.topics[:1] != (FLASH_LOAN_TOPIC,):
                continue
            if address_of_word(log.topics[1]) == self._executor:
                return address_of_word(log.topics[2]), 0
        return None
