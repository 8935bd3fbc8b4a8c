"""Loans within one transaction: a Uniswap V3 pool's ``flash``, a ``core.ports.FlashSource``."""

from collections.abc import Collection, Sequence
from typing import Final

from keeper.core.chain import BlockRef, Call, Log
from keeper.core.errors import StaleError
from keeper.core.plan import LoanKind
from keeper.core.ports import Reader
from keeper.core.units import Address, address_of_word
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import WORD, address_at, ask_address, int_at, selector, topic
from keeper.venues.loan_book import LoanBook, amounts

TRANSFER_TOPIC: Final = topic("Transfer(address,address,uint256)")
FLASH_TOPIC: Final = topic("Flash(address,address,uint256,uint256,uint256,uint256)")

_SHAPE: Final = tuple(selector(one) for one in ("token0()", "token1()", "fee()", "liquidity()"))
_TRANSFER_TOPICS: Final = 3
_PAID_AT: Final = 2
"""Place of what was paid in token 0 in the data of ``Flash``; that of token 1 follows."""
_MILLION: Final = 10**6
_GAS: Final = 62_000
"""Of a loan, as measured with pools that the route does not use besides."""


class PoolFlashSource:
    """Borrows either token of one pool."""

    def __init__(
        self, reader: Reader, *, pool: Address, executor: Address, name: str = "uniswap_v3"
    ) -> None:
        """Borrow for ``executor``."""
        self._reader = reader
        self._pool = pool
        self._executor = executor
        self._name = name

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        return self._name

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        """Read the pool's tokens, fee and balances at ``block``.

        Raises StaleError when it does not answer like a pool.
        """
        answers = await self._reader.call_many(
            [Call(to=self._pool, data=data) for data in _SHAPE], block
        )
        if not all(one.success and len(one.data) >= WORD for one in answers):
            raise StaleError(f"{self._pool}: expected a pool of Uniswap V3, found no answer")
        token0, token1, fee, liquidity = (one.data for one in answers)
        tokens = {address_at(token0, 0), address_at(token1, 0)}
        wanted = sorted(set(assets) & tokens) if int_at(liquidity, 0) else []
        calls = [ask_address(asset, BALANCE_OF, self._pool) for asset in wanted]
        balances = await self._reader.call_many(calls, block) if calls else []
        return LoanBook(
            source=self._name,
            lender=self._pool,
            kind=LoanKind.FLASH_POOL,
            held=amounts(wanted, balances),
            gas=_GAS,
            fee=int_at(fee, 0),  # UniswapV3Pool.flash
            fee_unit=_MILLION,
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the asset and fee of the executor's loan, None without a loan.

        Anybody may have the pool lend to it, a token that a program moves among them: what counts
        is a loan that it took itself.
        """
        for log in logs:
            if log.address != self._pool or log.topics[:1] != (FLASH_TOPIC,):
                continue
            if {address_of_word(party) for party in log.topics[1:3]} == {self._executor}:
                second = int_at(log.data, 1) > 0
                asset = self._lent(logs, int_at(log.data, second))
                return None if asset is None else (asset, int_at(log.data, _PAID_AT + second))
        return None

    def _lent(self, logs: Sequence[Log], amount: int) -> Address | None:
        """Return the token that the pool handed to the executor."""
        moved = (
            log.address
            for log in logs
            if len(log.topics) == _TRANSFER_TOPICS  # a token may log whatever it likes
            and log.topics[0] == TRANSFER_TOPIC
            and address_of_word(log.topics[1]) == self._pool
            and address_of_word(log.topics[2]) == self._executor
            and int_at(log.data, 0) == amount
        )
        return next(moved, None)
