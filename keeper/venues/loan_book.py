"""What one lender has at one block, at one fee for everything: a ``core.ports.LoanBook``."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keeper.core.chain import CallResult
from keeper.core.fixed_point import mul_div_ceil
from keeper.core.plan import Funding, LoanKind
from keeper.core.units import Address
from keeper.evm.words import WORD, int_at


class LoanBook(Struct, frozen=True, kw_only=True):
    """Lends any part of what is held; the fee is rounded up, as every such lender rounds it."""

    source: str
    lender: Address
    kind: LoanKind
    held: Mapping[Address, int]
    """Raw units by asset."""
    gas: int
    """Of a loan, until it is given back."""
    fee: int = 0
    """Of the amount, in parts of ``fee_unit``."""
    fee_unit: int = 1

    def most(self, asset: Address) -> int:
        """Return the most that can be borrowed, raw units; 0 when nothing can."""
        return self.held.get(asset, 0)

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the loan and its fee, None when the lender does not hold as much."""
        if amount > self.most(asset):
            return None
        return Funding(
            source=self.source,
            lender=self.lender,
            asset=asset,
            amount=amount,
            fee=mul_div_ceil(amount, self.fee, self.fee_unit),
            gas=self.gas,
            kind=self.kind,
        )


def amounts(assets: Sequence[Address], answers: Sequence[CallResult]) -> dict[Address, int]:
    """Return what each asset's answer says; an asset that does not answer cannot be borrowed."""
    return {
        asset: int_at(answer.data, 0)
        for asset, answer in zip(assets, answers, strict=True)
        if answer.success and len(answer.data) >= WORD
    }
