"""aTokens: withdrawn from their Aave V3 pool for what was supplied.

Mirrors ``SupplyLogic.executeWithdraw`` and the transfer of an aToken, in the rounding of the Pool's
revision: half up to 3.4 (``WadRayMath``), and from 3.5 on in the receiver's favour when it is
transferred, in the pool's when it is a balance (``TokenMath``).
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.fixed_point import (
    mul_div_ceil,
    mul_div_floor,
    ray_div_half_up,
    ray_mul_half_up,
)
from keeper.core.lending import ProtocolCall
from keeper.core.plan import Funding, Underlying
from keeper.core.ports import Reader
from keeper.core.units import MAX_UINT256, RAY, YEAR, Address
from keeper.core.values import replace
from keeper.evm.erc20 import BALANCE_OF
from keeper.evm.words import (
    WORD,
    address_at,
    ask,
    ask_address,
    int_at,
    selector,
    word_of_address,
    word_of_int,
)
from keeper.venues.unwinding.reading import Question, TokenUnwinder, answers, read_underlying

KIND: Final = "atoken"
_POOL: Final = selector("POOL()")
_UNDERLYING: Final = selector("UNDERLYING_ASSET_ADDRESS()")
_REVISION: Final = selector("POOL_REVISION()")
_RESERVE_DATA: Final = selector("getReserveData(address)")
_VIRTUAL_BALANCE: Final = selector("getVirtualUnderlyingBalance(address)")
_WITHDRAW: Final = selector("withdraw(address,uint256,address)")
_RESERVE_WORDS: Final = 15
_CONFIGURATION, _INDEX, _RATE, _UPDATED, _ATOKEN = 0, 1, 2, 6, 8
"""Places in ``getReserveData``: the legacy struct, kept since 3.0."""
_ACTIVE_BIT, _PAUSED_BIT, _VIRTUAL_BIT = 56, 60, 252
_FIRST_WITH_VIRTUAL_BALANCE: Final = 4
"""Revision of 3.1."""
_FIRST_WITHOUT_EXEMPTION: Final = 8
"""Revision of 3.4: every reserve's balance is virtual, and the bit is unused."""
_FIRST_DIRECTED: Final = 9
"""Revision of 3.5."""


class Reserve(Struct, frozen=True, kw_only=True):
    """What withdrawing depends on."""

    index: int
    """Ray, as of ``updated``."""
    rate: int
    """Of the liquidity, ray a year."""
    updated: int
    """Unix seconds."""
    cash: int
    """What can be withdrawn."""
    is_active: bool
    is_paused: bool
    is_directed: bool
    """True since 3.5: roundings have a direction."""

    def index_at(self, timestamp: int) -> int:
        """Mirror ``ReserveLogic.getNormalizedIncome``."""
        if timestamp == self.updated:
            return self.index
        linear = RAY + self.rate * (timestamp - self.updated) // YEAR
        return ray_mul_half_up(linear, self.index)

    def transferred(self, amount: int, index: int) -> int:
        """Return the scaled amount that a transfer moves."""
        return (
            mul_div_ceil(amount, RAY, index) if self.is_directed else ray_div_half_up(amount, index)
        )

    def balance(self, scaled: int, index: int) -> int:
        """Return the balance of a scaled amount: what withdrawing it all brings."""
        return (
            mul_div_floor(scaled, index, RAY)
            if self.is_directed
            else ray_mul_half_up(scaled, index)
        )


class ATokenBook(Struct, frozen=True, kw_only=True):
    """What an aToken is worth at one block, and at any later time without further events."""

    share: Address
    pool: Address
    underlying: Underlying
    gas: int
    reserve: Reserve

    @property
    def kind(self) -> str:
        """Return the kind's name in plans."""
        return KIND

    @property
    def refusal(self) -> str | None:
        """Return why nothing at all can be withdrawn, None when something can."""
        reserve, symbol = self.reserve, self.underlying.symbol
        if not reserve.is_active:
            return f"{self.share}: the reserve of {symbol} is not active"
        if reserve.is_paused:
            return f"{self.share}: the reserve of {symbol} is paused"
        return None if reserve.cash else f"{self.share}: the pool has no {symbol} to give"

    @property
    def terms(self) -> str:
        """Return how much can be withdrawn."""
        return f"at most {self.reserve.cash} raw units, known to the unit"

    def redeem(self, received: Sequence[int], *, timestamp: int, funding: Funding | None) -> int:
        """Return what withdrawing all brings, each part rounded by its own transfer.

        What the same pool lends meanwhile it cannot give. Raises RefusedError when it has less.
        """
        if self.refusal is not None:
            raise RefusedError(self.refusal)
        index = self.reserve.index_at(timestamp)
        scaled = sum(self.reserve.transferred(part, index) for part in received)
        assets = self.reserve.balance(scaled, index)
        cash = self.reserve.cash - self._lent(funding)
        if assets > cash:
            name = self.underlying.symbol
            msg = f"{self.share}: {assets} raw units of {name} are {assets - cash} more than the "
            msg += f"pool has, {cash}"
            raise RefusedError(msg + (", while it lends" if self._lent(funding) else ""))
        return assets

    def _lent(self, funding: Funding | None) -> int:
        ours = (self.pool, self.underlying.address)
        if funding is None or (funding.lender, funding.asset) != ours:
            return 0
        return funding.amount

    def worth(self, shares: int) -> int:
        """Return the same amount: an aToken is worth its underlying."""
        return shares

    def call(self, executor: Address) -> ProtocolCall:
        """Return ``withdraw`` of all that the executor holds, to itself."""
        words = (
            word_of_address(self.underlying.address),
            word_of_int(MAX_UINT256),
            word_of_address(executor),
        )
        return ProtocolCall(target=self.pool, data=b"".join((_WITHDRAW, *words)))

    def after(self, shares: int, assets: int) -> "ATokenBook":
        """Return the book once ``assets`` were withdrawn."""
        del shares
        return replace(self, reserve=replace(self.reserve, cash=max(self.reserve.cash - assets, 0)))


class _Identity(Struct, frozen=True, kw_only=True):
    """What does not change of an aToken."""

    pool: Address
    underlying: Underlying


class ATokenUnwinder(TokenUnwinder[_Identity]):
    """Reads one aToken's reserve."""

    def __init__(self, reader: Reader, *, share: Address, gas: int) -> None:
        super().__init__(reader, kind=KIND, share=share)
        self._gas = gas

    async def _identity(self, block: BlockRef) -> _Identity:
        asked = [
            Question(name="POOL()", call=ask(self._share, _POOL)),
            Question(name="UNDERLYING_ASSET_ADDRESS()", call=ask(self._share, _UNDERLYING)),
        ]
        pool, asset = await answers(self._reader, asked, block)
        underlying = await read_underlying(self._reader, address_at(asset, 0), block)
        return _Identity(pool=address_at(pool, 0), underlying=underlying)

    async def _read(self, known: _Identity, block: BlockRef) -> ATokenBook:
        pool, asset = known.pool, known.underlying.address
        asked = [
            Question(name="POOL_REVISION()", call=ask(pool, _REVISION)),
            Question(
                name="getReserveData",
                call=ask_address(pool, _RESERVE_DATA, asset),
                words=_RESERVE_WORDS,
            ),
            Question(name="balanceOf", call=ask_address(asset, BALANCE_OF, self._share)),
            Question(
                name="getVirtualUnderlyingBalance",
                call=ask_address(pool, _VIRTUAL_BALANCE, asset),
                words=0,
            ),
        ]
        revision, data, *cash = await answers(self._reader, asked, block)
        if address_at(data, _ATOKEN) != self._share:
            listed = address_at(data, _ATOKEN)
            raise StaleError(
                f"{self._share}: expected the aToken that {pool} lists, found {listed}"
            )
        index, updated = int_at(data, _INDEX), int_at(data, _UPDATED)
        if index < RAY or updated > block.timestamp:
            expected = f"{self._share}: expected a liquidity index of one or more, of the past"
            raise StaleError(f"{expected}, found {index} of {updated}")
        return ATokenBook(
            share=self._share,
            pool=pool,
            underlying=known.underlying,
            gas=self._gas,
            reserve=_reserve(data, int_at(revision, 0), *cash),
        )


def _reserve(data: bytes, revision: int, held: bytes, counted: bytes) -> Reserve:
    configuration = int_at(data, _CONFIGURATION)
    return Reserve(
        index=int_at(data, _INDEX),
        rate=int_at(data, _RATE),
        updated=int_at(data, _UPDATED),
        cash=_cash(revision, configuration, int_at(held, 0), counted),
        is_active=_bit(configuration, _ACTIVE_BIT),
        is_paused=_bit(configuration, _PAUSED_BIT),
        is_directed=revision >= _FIRST_DIRECTED,
    )


def _cash(revision: int, configuration: int, held: int, counted: bytes) -> int:
    """Return what the pool can give: its tokens, and since 3.1 no more than it counts.

    Up to 3.3 it counts those reserves alone that have the bit.
    """
    exempt = revision < _FIRST_WITHOUT_EXEMPTION and not _bit(configuration, _VIRTUAL_BIT)
    if revision < _FIRST_WITH_VIRTUAL_BALANCE or exempt:
        return held
    if len(counted) < WORD:
        raise StaleError(
            f"getVirtualUnderlyingBalance: expected {WORD} bytes, found {len(counted)}"
        )
    return min(held, int_at(counted, 0))


def _bit(word: int, place: int) -> bool:
    return bool(word >> place & 1)
