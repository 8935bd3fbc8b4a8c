"""Shares of vaults by ERC-4626: redeemed by their holder for the vault's asset."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.lending import Held, ProtocolCall
from keeper.core.plan import Funding, Underlying
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.erc20 import BALANCE_OF, DECIMALS
from keeper.evm.words import (
    address_at,
    ask,
    ask_address,
    ask_int,
    int_at,
    selector,
    word_of_address,
    word_of_int,
)
from keeper.venues.unwinding.curve import PROBE, Curve, Readings, fitted
from keeper.venues.unwinding.reading import (
    Question,
    TokenUnwinder,
    answers,
    decimals_of,
    read_underlying,
)

KIND: Final = "erc4626"
_ASSET: Final = selector("asset()")
_TOTAL_ASSETS: Final = selector("totalAssets()")
_TOTAL_SUPPLY: Final = selector("totalSupply()")
_CONVERT: Final = selector("convertToAssets(uint256)")
_PREVIEW: Final = selector("previewRedeem(uint256)")
_MAX_REDEEM: Final = selector("maxRedeem(address)")
_REDEEM: Final = selector("redeem(uint256,address,address)")
_SAMPLES: Final = ((1, 1_000), (1, 1), (1_000, 1), (1_000_000, 1))
"""Parts of a whole share that the vault is asked about, beside the probe."""
_ODD: Final = 7_919
"""Added to each, so that none is a round number."""


class VaultBook(Struct, frozen=True, kw_only=True):
    """What a vault gives at one block. Interest until the target block is not counted on."""

    share: Address
    underlying: Underlying
    gas: int
    curve: Curve
    most: int
    """Shares that the vault lets be redeemed."""
    held: int
    """Shares that the holders have."""

    @property
    def kind(self) -> str:
        """Return the kind's name in plans."""
        return KIND

    @property
    def refusal(self) -> str | None:
        """Return why nothing at all can be redeemed, None when something can."""
        if self.most:
            return None
        if not self.held:
            return f"{self.share}: none of the configured holders has any share"
        return f"{self.share}: maxRedeem is 0, for holders of {self.held} shares"

    @property
    def terms(self) -> str:
        """Return how much can be redeemed and how well that is known."""
        how = "to the unit" if self.curve.is_exact else "to a unit or two, never more"
        return f"at most {self.most} shares for {self.curve.of(self.most)} raw units, known {how}"

    def redeem(self, received: Sequence[int], *, timestamp: int, funding: Funding | None) -> int:
        """Return what the shares bring. Raises RefusedError when the vault redeems fewer."""
        del timestamp, funding
        shares = sum(received)
        if shares > self.most:
            short = shares - self.most
            msg = f"{self.share}: {shares} shares are {short} more than maxRedeem, {self.most}"
            raise RefusedError(msg)
        return self.curve.of(shares)

    def worth(self, shares: int) -> int:
        """Return what shares are worth, whether or not they can be redeemed."""
        return self.curve.of(shares)

    def call(self, executor: Address) -> ProtocolCall:
        """Return ``redeem`` of all shares that the executor holds, to itself."""
        owner = word_of_address(executor)
        return ProtocolCall(
            target=self.share,
            data=_REDEEM + word_of_int(0) + owner + owner,
            held={0: Held(token=self.share)},
        )

    def after(self, shares: int, assets: int) -> "VaultBook":
        """Return the book once shares were redeemed for ``assets``."""
        if shares >= self.most:  # perhaps more than there are by now: of what is in flight
            return replace(self, most=0)
        return replace(self, most=self.most - shares, curve=self.curve.after(shares, assets))


class _Identity(Struct, frozen=True, kw_only=True):
    """What does not change of a vault."""

    underlying: Underlying
    decimals: int

    @property
    def offset(self) -> int:
        """Decimals of the share beyond those of the underlying."""
        return max(self.decimals - len(str(self.underlying.unit)) + 1, 0)

    @property
    def samples(self) -> tuple[int, ...]:
        """Shares that the vault is asked about."""
        unit = 10**self.decimals
        return (PROBE, *(unit * many // parts + _ODD for many, parts in _SAMPLES))


class VaultUnwinder(TokenUnwinder[_Identity]):
    """Reads one vault."""

    def __init__(
        self, reader: Reader, *, share: Address, holders: Sequence[Address], gas: int
    ) -> None:
        """Ask what ``holders`` may redeem: whoever keeps the shares until they are seized."""
        super().__init__(reader, kind=KIND, share=share)
        self._holders = tuple(holders)
        self._gas = gas

    async def _identity(self, block: BlockRef) -> _Identity:
        asked = [
            Question(name="asset()", call=ask(self._share, _ASSET)),
            Question(name="decimals()", call=ask(self._share, DECIMALS)),
        ]
        asset, decimals = await answers(self._reader, asked, block)
        return _Identity(
            underlying=await read_underlying(self._reader, address_at(asset, 0), block),
            decimals=decimals_of(decimals, self._share),
        )

    async def _read(self, known: _Identity, block: BlockRef) -> VaultBook:
        words = [int_at(data, 0) for data in await answers(self._reader, self._asked(known), block)]
        figures, rest = words[:3], words[3:]
        count = len(known.samples)
        previews, rest = rest[:count], rest[count:]
        most, held = rest[::2], rest[1::2]
        readings = Readings(
            total_assets=figures[0],
            total_supply=figures[1],
            offset=known.offset,
            converted=figures[2],
            previews=dict(zip(known.samples, previews, strict=True)),
        )
        return VaultBook(
            share=self._share,
            underlying=known.underlying,
            gas=self._gas,
            curve=self._curve(readings),
            most=min(max(most), readings.total_supply),
            held=sum(held),
        )

    def _curve(self, readings: Readings) -> Curve:
        try:
            return fitted(readings)
        except StaleError as why:
            raise StaleError(f"{self._share}: {why}") from why

    def _asked(self, known: _Identity) -> list[Question]:
        share = self._share
        calls = [
            ("totalAssets()", ask(share, _TOTAL_ASSETS)),
            ("totalSupply()", ask(share, _TOTAL_SUPPLY)),
            (f"convertToAssets({PROBE})", ask_int(share, _CONVERT, PROBE)),
        ]
        calls += [(f"previewRedeem({n})", ask_int(share, _PREVIEW, n)) for n in known.samples]
        for one in self._holders:
            calls.append((f"maxRedeem({one})", ask_address(share, _MAX_REDEEM, one)))
            calls.append((f"balanceOf({one})", ask_address(share, BALANCE_OF, one)))
        return [Question(name=name, call=call) for name, call in calls]
