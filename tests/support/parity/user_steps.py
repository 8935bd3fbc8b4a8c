"""What borrowers and their liquidators do, as values that hypothesis draws and shrinks."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from keeper.core.units import BPS, MAX_UINT256, Address
from tests.support.parity.stage import Stage

VARIABLE, STABLE = 2, 1
ALL_OF_IT = BPS + 1


@dataclass(frozen=True, slots=True)
class Supply:
    who: int
    asset: int
    usd: int

    def queue(self, stage: Stage) -> None:
        symbol, account = stage.symbol(self.asset), stage.account(self.who)
        amount = stage.raw(symbol, self.usd)
        stage.supply("supply", stage.live.pool, "supply", stage.token(symbol), amount, account, 0)


@dataclass(frozen=True, slots=True)
class Borrow:
    who: int
    asset: int
    usd: int
    backed: bool

    def queue(self, stage: Stage) -> None:
        symbol, account = stage.symbol(self.asset), stage.account(self.who)
        if self.backed:
            _back(stage, account, self.usd)
        amount = stage.raw(symbol, self.usd)
        call = ("borrow", stage.token(symbol), amount, VARIABLE, 0, account)
        stage.by(account, "borrow", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class Repay:
    who: int
    leg: int
    part: int

    def queue(self, stage: Stage) -> None:
        account = stage.account(self.who)
        symbol, owed = stage.owed(account, self.leg)
        # "All" by its name is refused on behalf of another: twice as much surely is all of it.
        amount = owed * 2 if self.part == ALL_OF_IT else owed * self.part // BPS
        call = ("repay", stage.token(symbol), amount, VARIABLE, account)
        stage.supply("repay", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class RepayWithATokens:
    who: int
    leg: int
    part: int

    def queue(self, stage: Stage) -> None:
        account = stage.account(self.who)
        symbol, owed = stage.owed(account, self.leg)
        amount = owed * min(self.part, BPS) // BPS
        gift = ("supply", stage.token(symbol), amount, account, 0)
        stage.supply("supply", stage.live.pool, *gift)
        offered = MAX_UINT256 if self.part == ALL_OF_IT else amount
        call = ("repayWithATokens", stage.token(symbol), offered, VARIABLE)
        stage.by(account, "repay with aTokens", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class Withdraw:
    who: int
    leg: int
    part: int

    def queue(self, stage: Stage) -> None:
        account = stage.account(self.who)
        symbol, held = stage.held(account, self.leg)
        amount = MAX_UINT256 if self.part == ALL_OF_IT else held * self.part // BPS
        call = ("withdraw", stage.token(symbol), amount, account)
        stage.by(account, "withdraw", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class Transfer:
    who: int
    to: int
    leg: int
    part: int

    def queue(self, stage: Stage) -> None:
        account = stage.account(self.who)
        symbol, held = stage.held(account, self.leg)
        amount = held * min(self.part, BPS) // BPS
        call = ("transfer", stage.account(self.to), amount)
        stage.by(account, "transfer aTokens", stage.live.a_tokens[symbol], *call)


@dataclass(frozen=True, slots=True)
class Toggle:
    who: int
    leg: int
    on: bool

    def queue(self, stage: Stage) -> None:
        account = stage.account(self.who)
        symbol = stage.symbol(self.leg) if self.on else stage.held(account, self.leg)[0]
        call = ("setUserUseReserveAsCollateral", stage.token(symbol), self.on)
        stage.by(account, "toggle collateral", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class ChangeCategory:
    who: int
    number: int

    def queue(self, stage: Stage) -> None:
        account = stage.account(self.who)
        stage.by(account, "change eMode", stage.live.pool, "setUserEMode", self.number)


@dataclass(frozen=True, slots=True)
class FlashLoan:
    asset: int
    usd: int

    def queue(self, stage: Stage) -> None:
        symbol, receiver = stage.symbol(self.asset), stage.props.simple_receiver
        amount = stage.raw(symbol, self.usd)
        call = ("flashLoanSimple", receiver.address, stage.token(symbol), amount, b"", 0)
        stage.supply("flash loan", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class FlashDebt:
    """A flash loan of which one asset is paid back and the other stays as a debt."""

    who: int
    asset: int
    usd: int

    def queue(self, stage: Stage) -> None:
        account, receiver = stage.account(self.who), stage.props.receiver
        _back(stage, account, self.usd)
        kept, returned = stage.symbol(self.asset), stage.symbol(self.asset + 1)
        tokens = [stage.token(kept), stage.token(returned)]
        amounts = [stage.raw(kept, self.usd), stage.raw(returned, 7 * self.usd)]
        modes = [VARIABLE, 0]
        call = ("flashLoan", receiver.address, tokens, amounts, modes, account, b"", 0)
        stage.by(account, "flash loan into debt", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class Donate:
    """Tokens sent to the reserve without asking the pool."""

    asset: int
    usd: int

    def queue(self, stage: Stage) -> None:
        symbol = stage.symbol(self.asset)
        where = stage.live.a_tokens[symbol].address
        amount = stage.raw(symbol, self.usd)
        stage.supply("donate", stage.live.tokens[symbol], "transfer", where, amount)


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nearly all of a reserve's cash, or the last of it."""

    asset: int
    part: int

    def queue(self, stage: Stage) -> None:
        symbol = stage.symbol(self.asset)
        amount = stage.cash[symbol] * self.part // BPS
        to = stage.live.market.accounts.supplier
        stage.supply("drain", stage.live.pool, "withdraw", stage.token(symbol), amount, to)


@dataclass(frozen=True, slots=True)
class BorrowStable:
    """A debt at a stable rate, which 3.0 alone has."""

    who: int
    asset: int
    usd: int

    def queue(self, stage: Stage) -> None:
        if not stage.is_oldest:
            return
        symbol, account = stage.symbol(self.asset), stage.account(self.who)
        _back(stage, account, self.usd)
        amount = stage.raw(symbol, self.usd)
        call = ("borrow", stage.token(symbol), amount, STABLE, 0, account)
        stage.by(account, "borrow stable", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class SwapRate:
    who: int
    leg: int
    to_stable: bool

    def queue(self, stage: Stage) -> None:
        if not stage.is_oldest:
            return
        account = stage.account(self.who)
        symbol, _ = stage.owed(account, self.leg)
        # The argument is the mode that the debt has now.
        mode = VARIABLE if self.to_stable else STABLE
        call = ("swapBorrowRateMode", stage.token(symbol), mode)
        stage.by(account, "swap rate", stage.live.pool, *call)


@dataclass(frozen=True, slots=True)
class Liquidate:
    """A liquidation, which is foretold and so has a block to itself."""

    rank: int
    pair: int
    part: int
    receive: bool


def _back(stage: Stage, account: Address, usd: int) -> None:
    """Give an account collateral for a loan; it borrows some of it back if that is the asset."""
    amount = stage.raw("WETH", 3 * usd)
    gift = ("supply", stage.token("WETH"), amount, account, 0)
    stage.supply("supply", stage.live.pool, *gift)


WHO = st.integers(0, 200)
ASSET = st.integers(0, 5)
LEG = st.integers(0, 2)
PART = st.integers(1, 200) | st.integers(1, BPS) | st.just(ALL_OF_IT)
USD = st.integers(1, 2_500) | st.integers(1, 60_000)

LIQUIDATE = st.builds(Liquidate, st.integers(0, 40), st.integers(0, 5), PART, st.booleans())

USER_STEPS: tuple[SearchStrategy[object], ...] = (
    st.builds(Supply, WHO, ASSET, USD),
    st.builds(Borrow, WHO, ASSET, USD, st.just(True)),
    st.builds(Borrow, WHO, ASSET, USD, st.just(False)),
    st.builds(Repay, WHO, LEG, PART),
    st.builds(RepayWithATokens, WHO, LEG, PART),
    st.builds(Withdraw, WHO, LEG, PART),
    st.builds(Transfer, WHO, WHO, LEG, PART),
    st.builds(Toggle, WHO, ASSET, st.booleans()),
    st.builds(ChangeCategory, WHO, st.integers(0, 3)),
    st.builds(FlashLoan, ASSET, st.integers(1, 2_000_000)),
    st.builds(FlashDebt, WHO, ASSET, USD),
    st.builds(Donate, ASSET, USD),
    st.builds(Drain, ASSET, st.integers(9_900, BPS)),
    st.builds(BorrowStable, WHO, ASSET, USD),
    st.builds(SwapRate, WHO, LEG, st.booleans()),
)
