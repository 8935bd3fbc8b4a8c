"""Loans within one transaction: Balancer V2's vault, a ``core.ports.FlashSource``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.core.chain import BlockRef, Call, Log
from keeper.core.errors import StaleError
from keeper.core.fixed_point import mul_div_ceil
from keeper.core.plan import Funding, LoanKind
from keeper.core.ports import Reader
from keeper.core.units import WAD, Address, address_of_word
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import WORD, address_at, ask_address, int_at, selector, topic

FLASH_LOAN_TOPIC: Final = topic("FlashLoan(address,address,uint256,uint256)")

_COLLECTOR: Final = selector("getProtocolFeesCollector()")
_FEE: Final = selector("getFlashLoanFeePercentage()")
_PAUSED: Final = selector("getPausedState()")


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerLoanBook:
    """What the vault holds at one block: it lends any of that."""

    source: str
    vault: Address
    fee: int
    """Of the amount; wad."""
    held: Mapping[Address, int]

    def most(self, asset: Address) -> int:
        """Return the most that can be borrowed, raw units; 0 when nothing can."""
        return self.held.get(asset, 0)

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the loan and its fee, None when the vault does not hold as much."""
        if amount > self.most(asset):
            return None
        return Funding(
            source=self.source,
            lender=self.vault,
            asset=asset,
            amount=amount,
            fee=mul_div_ceil(amount, self.fee, WAD),  # FlashLoans._calculateFlashLoanFeeAmount
            kind=LoanKind.FLASH_VAULT,
        )


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

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> BalancerLoanBook:
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
        held = {
            asset: int_at(answer.data, 0)
            for asset, answer in zip(wanted, answers[2:], strict=True)
            if answer.success and len(answer.data) >= WORD and not int_at(paused, 0)
        }
        return BalancerLoanBook(
            source=self._name, vault=self._vault, fee=int_at(fee.data, 0), held=held
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the asset and fee of the executor's loan, None without a loan."""
        for log in logs:
            if log.address != self._vault or log.topics[:1] != (FLASH_LOAN_TOPIC,):
                continue
            if address_of_word(log.topics[1]) == self._executor:
                return address_of_word(log.topics[2]), int_at(log.data, 1)
        return None
