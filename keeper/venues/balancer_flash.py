"""Loans within one transaction: Balancer V2's vault, a ``core.ports.FlashSource``."""

from collections.abc import Collection, Sequence
from typing import Final

from keeper.core.chain import BlockRef, Call, Log
from keeper.core.errors import StaleError
from keeper.core.plan import LoanKind
from keeper.core.ports import Reader
from keeper.core.units import WAD, Address, address_of_word
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import WORD, address_at, ask_address, int_at, selector, topic
from keeper.venues.loan_book import LoanBook, amounts

FLASH_LOAN_TOPIC: Final = topic("FlashLoan(address,address,uint256,uint256)")

_COLLECTOR: Final = selector("getProtocolFeesCollector()")
_FEE: Final = selector("getFlashLoanFeePercentage()")
_PAUSED: Final = selector("getPausedState()")
_GAS: Final = 45_000
"""Of a loan, as measured with the vault's published bytecode."""


class BalancerFlashSource:
    """Borrows from one vault. Nothing swaps in it while it lends: it would refuse to."""

    def __init__(
        self, reader: Reader, *, vault: Address, executor: Address, name: str = "balancer_v2"
    ) -> None:
        """Borrow for ``executor``."""
        self._reader = reader
        self._vault = vault
        self._executor = executor
        self._name = name

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        return self._name

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        """Read fee, pause and balances at ``block``.

        Raises StaleError when the vault does not answer like one.
        """
        wanted = sorted(set(assets))
        heads = [Call(to=self._vault, data=data) for data in (_COLLECTOR, _PAUSED)]
        balances = [ask_address(asset, BALANCE_OF, self._vault) for asset in wanted]
        answers = await self._reader.call_many([*heads, *balances], block)
        collector, paused = (answer.data for answer in answers[:2])
        if not all(one.success and len(one.data) >= WORD for one in answers[:2]):
            raise StaleError(f"{self._vault}: expected a vault of Balancer V2, found no answer")
        (fee,) = await self._reader.call_many([Call(to=address_at(collector, 0), data=_FEE)], block)
        if not fee.success or len(fee.data) < WORD:
            raise StaleError(f"{self._vault}: expected a fee of flash loans, found no answer")
        return LoanBook(
            source=self._name,
            lender=self._vault,
            kind=LoanKind.FLASH_VAULT,
            held={} if int_at(paused, 0) else amounts(wanted, answers[2:]),
            gas=_GAS,
            fee=int_at(fee.data, 0),  # FlashLoans._calculateFlashLoanFeeAmount
            fee_unit=WAD,
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the asset and fee of the executor's loan, None without a loan."""
        for log in logs:
            if log.address != self._vault or log.topics[:1] != (FLASH_LOAN_TOPIC,):
                continue
            if address_of_word(log.topics[1]) == self._executor:
                return address_of_word(log.topics[2]), int_at(log.data, 1)
        return None
