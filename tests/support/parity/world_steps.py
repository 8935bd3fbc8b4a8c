"""What governance, guardians, price feeds, the sequencer and time do."""

from dataclasses import dataclass

from eth_abi.abi import encode
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from keeper.core.units import BPS, ZERO_ADDRESS, Address
from keeper.devnet.sender import read
from keeper.devnet.sentinel import DOWN, UP
from tests.support.parity.stage import Stage
from tests.support.parity.user_steps import ASSET

CATEGORY = st.integers(1, 3)
KEY = Address("0x" + "77" * 20)
"""Where 3.0's oracle keeps the price of a category that has one of its own."""

_RATE_DATA = "(uint16,uint32,uint32,uint32)"
_SAFETY_BPS = 300
_RISK_BITS = 48
"""Of the reserve's word: LTV, threshold and bonus."""
_GAS = 1_000_000


@dataclass(frozen=True, slots=True)
class SetRisk:
    asset: int
    threshold: int
    bonus: int

    def queue(self, stage: Stage) -> None:
        risk = (max(self.threshold - _SAFETY_BPS, 0), self.threshold, self.bonus)
        token = stage.token(stage.symbol(self.asset))
        stage.govern("configureReserveAsCollateral", token, *risk)


@dataclass(frozen=True, slots=True)
class SetFees:
    asset: int
    protocol_fee: int
    reserve_factor: int

    def queue(self, stage: Stage) -> None:
        token = stage.token(stage.symbol(self.asset))
        stage.govern("setLiquidationProtocolFee", token, self.protocol_fee)
        stage.govern("setReserveFactor", token, self.reserve_factor)


@dataclass(frozen=True, slots=True)
class SetCategory:
    """Edit a category; `priced` gives it a price of its own where the release knows that."""

    number: int
    threshold: int
    bonus: int
    priced: bool

    def queue(self, stage: Stage) -> None:
        risk = (self.threshold - _SAFETY_BPS, self.threshold, self.bonus)
        if not stage.is_oldest:
            stage.govern("setEModeCategory", self.number, *risk, "edited")
            return
        if self.priced:
            feed = stage.live.market.asset("wstETH").feed
            data = stage.live.oracle.encode("setAssetSources", [KEY], [feed])
            where = stage.live.oracle.address
            stage.owner.add("governance setAssetSources", to=where, data=data)
        source = KEY if self.priced else ZERO_ADDRESS
        stage.govern("setEModeCategory", self.number, *risk, source, "edited")


@dataclass(frozen=True, slots=True)
class SetMember:
    number: int
    asset: int
    on: bool

    def queue(self, stage: Stage) -> None:
        token = stage.token(stage.symbol(self.asset))
        if stage.is_oldest:
            stage.govern("setAssetEModeCategory", token, self.number if self.on else 0)
            return
        stage.govern("setAssetCollateralInEMode", token, self.number, self.on)
        stage.govern("setAssetBorrowableInEMode", token, self.number, self.on)


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause a reserve, or let it go on; since 3.1 liquidations may have to wait then."""

    asset: int
    on: bool
    grace_s: int

    def queue(self, stage: Stage) -> None:
        token = stage.token(stage.symbol(self.asset))
        if stage.is_oldest or self.on:
            stage.govern("setReservePause(address,bool)", token, self.on)
        else:
            stage.govern("setReservePause(address,bool,uint40)", token, False, self.grace_s)


@dataclass(frozen=True, slots=True)
class DropThreshold:
    """Leave a reserve that is in use without threshold and bonus of its own."""

    asset: int

    def queue(self, stage: Stage) -> None:
        pool, token = stage.live.pool, stage.token(stage.symbol(self.asset))
        (word,) = read(stage.live.rpc, pool, "getConfiguration", token)
        data = pool.encode("setConfiguration", token, (word >> _RISK_BITS << _RISK_BITS,))
        stage.configurator.add("drop threshold", to=pool.address, data=data, gas=_GAS)
        # The pool says nothing of it; the configurator, which never does this, would.
        stage.govern("setReserveFactor", token, 1_000)
        stage.govern("setLiquidationProtocolFee", token, 1_000 * (self.asset % 2))


@dataclass(frozen=True, slots=True)
class EndGrace:
    asset: int

    def queue(self, stage: Stage) -> None:
        if not stage.is_oldest:
            token = stage.token(stage.symbol(self.asset))
            stage.govern("disableLiquidationGracePeriod", token)


@dataclass(frozen=True, slots=True)
class Freeze:
    asset: int
    on: bool

    def queue(self, stage: Stage) -> None:
        stage.govern("setReserveFreeze", stage.token(stage.symbol(self.asset)), self.on)


@dataclass(frozen=True, slots=True)
class SetFlashPremium:
    bps: int

    def queue(self, stage: Stage) -> None:
        name = "updateFlashloanPremiumTotal" if stage.is_oldest else "updateFlashloanPremium"
        stage.govern(name, self.bps)


@dataclass(frozen=True, slots=True)
class SetCurve:
    """Change how a reserve's rates follow its use."""

    asset: int
    optimal: int
    slope: int

    def queue(self, stage: Stage) -> None:
        token = stage.token(stage.symbol(self.asset))
        if stage.is_oldest:
            other = stage.token(stage.symbol(self.asset + 1))
            found = read(
                stage.live.rpc, stage.live.data_provider, "getInterestRateStrategyAddress", other
            )
            stage.govern("setReserveInterestRateStrategyAddress", token, found)
            return
        curve = encode([_RATE_DATA], [(self.optimal, 100, self.slope, 10 * self.slope)])
        stage.govern("setReserveInterestRateData", token, curve)


@dataclass(frozen=True, slots=True)
class SetSource:
    """Let the oracle take an asset's price from the feed of another."""

    asset: int
    other: int

    def queue(self, stage: Stage) -> None:
        token = stage.token(stage.symbol(self.asset))
        feed = stage.live.market.asset(stage.symbol(self.other)).feed
        data = stage.live.oracle.encode("setAssetSources", [token], [feed])
        where = stage.live.oracle.address
        stage.owner.add("governance setAssetSources", to=where, data=data)


@dataclass(frozen=True, slots=True)
class MintToTreasury:
    asset: int

    def queue(self, stage: Stage) -> None:
        token = stage.token(stage.symbol(self.asset))
        stage.supply("mint to treasury", stage.live.pool, "mintToTreasury", [token])


@dataclass(frozen=True, slots=True)
class CoverDeficit:
    asset: int
    usd: int

    def queue(self, stage: Stage) -> None:
        if not stage.is_oldest:
            symbol = stage.symbol(self.asset)
            call = ("eliminateReserveDeficit", stage.token(symbol), stage.raw(symbol, self.usd))
            stage.supply("cover deficit", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class MovePrice:
    asset: int
    bps: int

    def queue(self, stage: Stage) -> None:
        symbol = stage.symbol(self.asset)
        stage.answer(symbol, max(stage.prices[symbol] * self.bps // BPS, 1))


@dataclass(frozen=True, slots=True)
class Fall:
    """Everything that is not a dollar falls at once."""

    bps: int

    def queue(self, stage: Stage) -> None:
        for symbol in ("WETH", "WBTC", "wstETH"):
            stage.answer(symbol, max(stage.prices[symbol] * self.bps // BPS, 1))


@dataclass(frozen=True, slots=True)
class Collapse:
    asset: int
    answer: int

    def queue(self, stage: Stage) -> None:
        stage.answer(stage.symbol(self.asset), self.answer)


@dataclass(frozen=True, slots=True)
class PassTime:
    seconds: int

    def queue(self, stage: Stage) -> None:
        stage.pass_time(self.seconds)


@dataclass(frozen=True, slots=True)
class ReportSequencer:
    up: bool

    def queue(self, stage: Stage) -> None:
        status = UP if self.up else DOWN
        stage.props.sequencer.report(stage.live, stage.oracle_node, status)


_MINUTE, _DAY, _YEAR = 60, 86_400, 31_536_000
_SECONDS = st.one_of(
    st.integers(0, _MINUTE),
    st.integers(_MINUTE, _DAY),
    st.integers(_DAY, 40 * _DAY),
    st.integers(_YEAR // 2, _YEAR),
)
_SELDOM = st.sampled_from((False, False, False, True))

PRICE_STEPS: tuple[SearchStrategy[object], ...] = (
    st.builds(MovePrice, ASSET, st.integers(8_000, 11_000)),
    st.builds(MovePrice, ASSET, st.integers(9_500, 10_500)),
    st.builds(Fall, st.integers(8_800, 10_600)),
    st.builds(PassTime, _SECONDS),
)
WORLD_STEPS: tuple[SearchStrategy[object], ...] = (
    st.builds(SetRisk, ASSET, st.integers(3_000, 9_000), st.integers(10_001, 11_500)),
    st.builds(SetFees, ASSET, st.integers(0, BPS), st.integers(0, 5_000)),
    st.builds(
        SetCategory, CATEGORY, st.integers(8_000, 9_700), st.integers(10_001, 10_600), st.booleans()
    ),
    st.builds(SetMember, CATEGORY, ASSET, st.booleans()),
    st.builds(Pause, ASSET, _SELDOM, st.integers(0, 4 * 3_600)),
    st.builds(EndGrace, ASSET),
    st.builds(DropThreshold, ASSET),
    st.builds(Freeze, st.integers(1, 5), _SELDOM),
    st.builds(SetFlashPremium, st.integers(0, 100)),
    st.builds(SetCurve, ASSET, st.integers(100, 9_900), st.integers(0, 3_000)),
    st.builds(SetSource, ASSET, ASSET),
    st.builds(MintToTreasury, ASSET),
    st.builds(CoverDeficit, ASSET, st.integers(1, 5_000)),
    st.builds(Collapse, ASSET, st.integers(1, 10**6)),
    st.builds(ReportSequencer, st.booleans()),
)
