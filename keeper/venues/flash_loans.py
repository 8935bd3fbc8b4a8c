"""Loans within one transaction: Aave V3's ``flashLoanSimple``, a ``core.ports.FlashSource``."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef, Call, Log
from keeper.core.errors import StaleError
from keeper.core.fixed_point import mul_div_ceil, percent_mul_half_up
from keeper.core.plan import Funding
from keeper.core.ports import Reader
from keeper.core.units import BPS, Address, Hash32, address_bytes, address_of_word

FLASH_LOAN_TOPIC: Final = Hash32(
    "0xefefaba5e921573100900a3ad9cf29f222d995fb3b6045797eaea7521bd8d6f0"
)
"""Of ``FlashLoan(address,address,address,uint256,uint8,uint256,uint16)``."""

Ask = tuple[Address, bytes]
"""Whom to ask, and what."""

_WORD: Final = 32
_PREMIUM_TOTAL: Final = bytes.fromhex("074b2e43")
_POOL_REVISION: Final = bytes.fromhex("0148170e")
_RESERVE_DATA: Final = bytes.fromhex("35ea6a75")
_VIRTUAL_BALANCE: Final = bytes.fromhex("6fb07f96")
_BALANCE_OF: Final = bytes.fromhex("70a08231")

_ATOKEN_AT: Final = 8
"""Place of the aToken in ``getReserveData``: the legacy struct, kept since 3.0."""
_PREMIUM_AT: Final = 3
"""Place of the premium in the data of ``FlashLoan``."""
_ACTIVE_BIT: Final = 56
_PAUSED_BIT: Final = 60
_FLASH_ENABLED_BIT: Final = 63
_FIRST_WITH_VIRTUAL_BALANCE: Final = 4
"""Revision of 3.1: the pool lends no more than the balance that it counts itself."""
_FIRST_WITH_CEIL: Final = 9
"""Revision of 3.5: the premium is rounded up instead of half-up."""
_GAS: Final = 120_000
"""Of a loan, as measured on 3.0 and 3.6: about 137,000 beside a liquidation elsewhere, and half of
that beside one in the same pool, which then finds its storage warm."""


class AaveV3LoanBook(Struct, frozen=True, kw_only=True):
    """What one Aave V3 pool lends at one block."""

    source: str
    pool: Address
    premium_bps: int
    rounds_up: bool
    available: Mapping[Address, int]
    """Raw units that can be borrowed; an asset that cannot be is not in it."""

    def most(self, asset: Address) -> int:
        """Return the most that can be borrowed, raw units; 0 when nothing can."""
        return self.available.get(asset, 0)

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the loan and its premium, None when the pool cannot lend that much."""
        if amount > self.most(asset):
            return None
        return Funding(
            source=self.source,
            lender=self.pool,
            asset=asset,
            amount=amount,
            fee=self.premium(amount),
            gas=_GAS,
        )

    def premium(self, amount: int) -> int:
        """Mirror ``FlashLoanLogic.executeFlashLoanSimple``: ``percentMul``, ceil from 3.5 on."""
        if self.rounds_up:
            return mul_div_ceil(amount, self.premium_bps, BPS)
        return percent_mul_half_up(amount, self.premium_bps)


class AaveV3FlashSource:
    """Borrows from one Aave V3 pool."""

    def __init__(
        self, reader: Reader, *, pool: Address, executor: Address, name: str = "aave_v3"
    ) -> None:
        self._reader = reader
        self._pool = pool
        self._executor = executor
        self._name = name
        self._guesses: dict[Address, tuple[Ask, ...]] = {}
        """What had to be asked of a reserve last: it is asked along with what the reserve is."""

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        return self._name

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> AaveV3LoanBook:
        """Read premium, flags and liquidity at ``block``: at once, where only amounts changed.

        An asset that the pool does not list cannot be borrowed. Raises StaleError when the pool
        does not answer like one.
        """
        wanted = sorted(set(assets))
        reserves = [(self._pool, _RESERVE_DATA + _address_word(asset)) for asset in wanted]
        heads = [(self._pool, _PREMIUM_TOTAL), (self._pool, _POOL_REVISION)]
        guesses = {ask for asset in wanted for ask in self._guesses.get(asset, ())}
        told = await self._ask([*heads, *reserves], block, guesses)
        premium, revision = (_word_at(told[one], 0) for one in heads)
        lends = {
            asset: _address_at(told[ask], _ATOKEN_AT)
            for asset, ask in zip(wanted, reserves, strict=True)
            if _lends(_word_at(told[ask], 0))
        }
        asked = {asset: self._amounts(asset, lends[asset], revision) for asset in lends}
        told |= await self._ask({ask for one in asked.values() for ask in one} - told.keys(), block)
        self._guesses |= asked
        return AaveV3LoanBook(
            source=self._name,
            pool=self._pool,
            premium_bps=premium,
            rounds_up=revision >= _FIRST_WITH_CEIL,
            available={
                asset: min(_word_at(told[ask], 0) for ask in asks) for asset, asks in asked.items()
            },
        )

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the premium of the executor's loans in a transaction's logs, None without one.

        The premiums of several loans are added; they are of one asset, as the plans are.
        """
        paid = [log for log in logs if log.address == self._pool and self._is_loan(log)]
        if not paid:
            return None
        asset = address_of_word(paid[0].topics[2])
        premiums = (
            _word_at(log.data, _PREMIUM_AT)
            for log in paid
            if address_of_word(log.topics[2]) == asset
        )
        return asset, sum(premiums)

    def _is_loan(self, log: Log) -> bool:
        return (
            log.topics[:1] == (FLASH_LOAN_TOPIC,)
            and address_of_word(log.topics[1]) == self._executor
        )

    def _amounts(self, asset: Address, atoken: Address, revision: int) -> tuple[Ask, ...]:
        """Return what bounds a loan: the reserve's cash, and what the pool itself counts."""
        cash = (asset, _BALANCE_OF + _address_word(atoken))
        if revision < _FIRST_WITH_VIRTUAL_BALANCE:
            return (cash,)
        return cash, (self._pool, _VIRTUAL_BALANCE + _address_word(asset))

    async def _ask(
        self, asked: Collection[Ask], block: BlockRef, guesses: Collection[Ask] = ()
    ) -> dict[Ask, bytes]:
        """Return the answers; what is only guessed to be of use may be without one."""
        asks = list(dict.fromkeys((*asked, *guesses)))
        calls = [Call(to=to, data=data) for to, data in asks]
        answers = await self._reader.call_many(calls, block) if calls else []
        for call, answer in zip(calls, answers, strict=True):
            if not answer.success and (call.to, call.data) in asked:
                msg = f"{call.to}: expected an answer to 0x{call.data.hex()}, found a revert"
                raise StaleError(msg)
        return {
            ask: answer.data for ask, answer in zip(asks, answers, strict=True) if answer.success
        }


def _lends(configuration: int) -> bool:
    """Mirror ``ValidationLogic.validateFlashloanSimple``: active, not paused, flash enabled."""
    active, paused, enabled = (
        configuration >> bit & 1 for bit in (_ACTIVE_BIT, _PAUSED_BIT, _FLASH_ENABLED_BIT)
    )
    return bool(active and enabled and not paused)


def _address_word(value: Address) -> bytes:
    return address_bytes(value).rjust(_WORD, b"\x00")


def _word_at(data: bytes, index: int) -> int:
    start = index * _WORD
    if len(data) < start + _WORD:
        msg = f"flash pool: expected at least {start + _WORD} bytes, found {len(data)}"
        raise StaleError(msg)
    return int.from_bytes(data[start : start + _WORD])


def _address_at(data: bytes, index: int) -> Address:
    return address_of_word(_word_at(data, index).to_bytes(_WORD))
