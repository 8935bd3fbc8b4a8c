"""Curves of vaults, reserves of aTokens, and the part of the configuration that names them."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import yaml

from keeper.app.builders import unwinder_for
from keeper.config.settings import Settings, load
from keeper.core.errors import ConfigError, RefusedError, StaleError
from keeper.core.plan import Funding, Plan, Underlying
from keeper.core.units import RAY, WAD
from keeper.core.values import replace
from keeper.evm.program import BalanceOf, Call, Flash
from keeper.planner.build import steps
from keeper.planner.case import Desk
from keeper.planner.offers import Chosen, ask_of
from keeper.planner.planner import Planner
from keeper.planner.search import best_trades, closest
from keeper.planner.trade import Trade
from keeper.planner.unwinding import Unwinding
from keeper.venues.unwinding.atoken import ATokenBook, ATokenUnwinder, Reserve
from keeper.venues.unwinding.curve import PROBE, Curve, Readings, fitted
from keeper.venues.unwinding.erc4626 import VaultBook, VaultUnwinder
from tests.support.lending_desk import (
    DAI,
    EXECUTOR,
    LENDER,
    USDC,
    WBTC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    markets,
    named,
    option_of,
    terms_of,
)
from tests.support.settings_files import write_settings

SAMPLES = (PROBE, 10**15 + 7_919, 10**18 + 7_919, 10**21 + 7_919, 10**24 + 7_919)
AMOUNTS = (1, 999, 10**6, 10**18, 7 * 10**20, 123_456_789_012_345_678_901)
ASSETS, SUPPLY = 1_234_567_890_123_456_789_012, 987_654_321_098_765_432_109
CHI, RATE = 1_093_170_128_213_491_829_310_582_137, 1_093_170_128_213_491_829

Preview = Callable[[int], int]


def with_fee(base: Preview) -> Preview:
    """Keep a hundredth of what leaves, as OpenZeppelin's ``ERC4626Fees`` does."""

    def preview(shares: int) -> int:
        assets = base(shares)
        return assets - -(-assets * 100 // 10_100)

    return preview


FORMULAS: dict[str, Preview] = {
    "openzeppelin": lambda shares: shares * (ASSETS + 1) // (SUPPLY + 1),
    "solmate": lambda shares: shares * ASSETS // SUPPLY,
    "a price of a ray": lambda shares: shares * CHI // RAY,
    "a price of a wad": lambda shares: shares * RATE // WAD,
}


def readings(preview: Preview, base: Preview | None = None) -> Readings:
    return Readings(
        total_assets=ASSETS,
        total_supply=SUPPLY,
        offset=0,
        converted=(base or preview)(PROBE),
        previews={shares: preview(shares) for shares in SAMPLES},
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_that_is_known_is_mirrored_to_the_unit(name: str) -> None:
    curve = fitted(readings(FORMULAS[name]))
    assert curve.is_exact
    assert [curve.of(n) for n in AMOUNTS] == [FORMULAS[name](n) for n in AMOUNTS]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_fee_is_mirrored_with_its_own_rounding(name: str) -> None:
    preview = with_fee(FORMULAS[name])
    curve = fitted(readings(preview, FORMULAS[name]))
    assert (curve.is_exact, curve.kept) == (True, Fraction(100, 101))
    assert [curve.of(n) for n in AMOUNTS] == [preview(n) for n in AMOUNTS]


def test_a_price_by_no_known_formula_is_never_taken_for_more() -> None:
    """Shares of a fee are minted before the price is told, as MetaMorpho does."""

    def preview(shares: int) -> int:
        return shares * (ASSETS + 3) // (SUPPLY + 12_345)

    curve = fitted(readings(preview))
    assert not curve.is_exact
    assert all(preview(n) - 1 <= curve.of(n) <= preview(n) for n in AMOUNTS)
    taxed = fitted(readings(with_fee(preview), preview))
    assert all(with_fee(preview)(n) - 2 <= taxed.of(n) <= with_fee(preview)(n) for n in AMOUNTS)


def test_a_vault_that_gives_less_for_more_is_not_understood() -> None:
    def preview(shares: int) -> int:
        return shares if shares < 10**20 else shares * 99 // 100

    with pytest.raises(StaleError, match=r"expected previewRedeem\(1000000000007919\) to be near"):
        fitted(readings(preview))


def test_a_vault_without_shares_is_worth_its_first_price() -> None:
    empty = replace(readings(lambda shares: shares), total_assets=0, total_supply=0)
    assert fitted(empty).of(10**18) == 10**18


def test_totals_move_as_shares_are_redeemed() -> None:
    curve = fitted(readings(FORMULAS["solmate"]))
    left = curve.after(10**20, curve.of(10**20))
    assert (left.assets, left.supply) == (ASSETS - curve.of(10**20), SUPPLY - 10**20)
    priced = fitted(readings(FORMULAS["a price of a ray"]))
    assert priced.after(10**20, 1) == priced


# --- aTokens ---------------------------------------------------------------------------------

SHARE, POOL = named("5a"), LENDER
DOLLARS = Underlying(address=USDC, symbol="USDC", unit=10**6)


def reserve(**changes: object) -> Reserve:
    whole = Reserve(
        index=RAY,
        rate=0,
        updated=0,
        cash=10**15,
        is_active=True,
        is_paused=False,
        is_directed=True,
    )
    return replace(whole, **changes)


def atoken(**changes: object) -> ATokenBook:
    return ATokenBook(
        share=SHARE, pool=POOL, underlying=DOLLARS, gas=180_000, reserve=reserve(**changes)
    )


def test_what_the_pool_lends_meanwhile_cannot_be_withdrawn() -> None:
    book = atoken(cash=1_000)
    loan = Funding(source="aave_v3", lender=POOL, asset=USDC, amount=400, fee=0, gas=0)
    assert book.redeem([600], timestamp=9, funding=loan) == 600
    with pytest.raises(RefusedError, match="601 raw units of USDC are 1 more than the pool has"):
        book.redeem([601], timestamp=9, funding=loan)
    for other in (replace(loan, asset=DAI), replace(loan, lender=named("99"))):
        assert book.redeem([1_000], timestamp=9, funding=other) == 1_000


def test_a_plan_leaves_less_cash() -> None:
    assert atoken(cash=1_000).after(600, 601).reserve.cash == 399


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_active": False}, "not active"),
        ({"is_paused": True}, "paused"),
        ({"cash": 0}, "the pool has no USDC to give"),
    ],
)
def test_a_reserve_that_gives_nothing_says_why(changes: dict[str, object], said: str) -> None:
    book = atoken(**changes)
    assert said in str(book.refusal)
    with pytest.raises(RefusedError, match=said):
        book.redeem([1], timestamp=0, funding=None)


# --- plans -----------------------------------------------------------------------------------

BORROWED = Funding(source="aave_v3", lender=LENDER, asset=WETH, amount=1, fee=0, gas=0)
POOLS = markets(50_000_000, [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)])


def vault(**changes: object) -> VaultBook:
    """Return a vault of wrapped ether whose shares are seized as if they were WBTC."""
    whole = VaultBook(
        share=WBTC,
        underlying=Underlying(address=WETH, symbol="WETH", unit=10**18),
        gas=100_000,
        curve=Curve(assets=30 * 10**10, supply=1),
        most=10**30,
        held=10**30,
    )
    return replace(whole, **changes)


def unwinding_desk(book: VaultBook, **around: object) -> Desk:
    desk = desk_of(*POOLS, **around)
    return replace(desk, unwinding=Unwinding(books={WBTC: book}))


def test_the_redemption_comes_after_the_liquidation_and_before_the_swaps() -> None:
    case, terms = case_with(option_of(WBTC, USDC, dollars=10_000)), terms_of()
    best = closest(best_trades(case, unwinding_desk(vault()), terms))
    assert isinstance(best, Trade)
    (loan,) = steps(case, terms, best)[:1]
    assert isinstance(loan, Flash)
    _, redeem, buy = loan.inner
    assert isinstance(redeem, Call)
    owner = int(EXECUTOR, 16)
    assert (redeem.target, redeem.parts) == (WBTC, (BalanceOf(token=WBTC), owner, owner))
    assert buy.token_in == WETH


def test_several_liquidations_are_redeemed_once() -> None:
    case, terms = case_with(option_of(WBTC, USDC, dollars=10_000)), terms_of()
    best = closest(best_trades(case, unwinding_desk(vault()), terms))
    assert isinstance(best, Trade)
    twice = replace(best, steps=(best.seize, best.seize))
    (loan, *_) = steps(case, terms, twice)
    assert [one.target for one in loan.inner if isinstance(one, Call)][2:] == [WBTC]


def test_the_underlying_is_named_where_it_does_not_suffice() -> None:
    case = case_with(option_of(WBTC, USDC, dollars=10_000))
    poor = unwinding_desk(vault(curve=Curve(assets=20 * 10**10, supply=1)))
    found = Planner(terms=terms_of(), venues=(), lenders=()).plan(case, poor)
    assert not isinstance(found, Plan)
    assert "WETH short of what is owed" in found.detail


def test_an_underlying_without_a_price_is_valued_by_its_shares() -> None:
    case = case_with(option_of(WBTC, USDC, dollars=10_000))
    known = {a: v for a, v in case.valuation.assets.items() if a != DAI}
    bare = replace(case, valuation=replace(case.valuation, assets=known))
    dollars = Underlying(address=DAI, symbol="DAI", unit=10**18)
    book = vault(underlying=dollars, curve=Curve(assets=40_000 * 10**10, supply=1))
    desk = desk_of(*markets(50_000_000, [(DAI, USDC), (DAI, WETH)]))
    poor = replace(desk, unwinding=Unwinding(books={WBTC: book}))
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    (with_price, without) = (planner.plan(one, poor) for one in (case, bare))
    assert "raw units of DAI short" in without.detail
    # Shares are worth 60,000 dollars by their own price, 40,000 by what they are redeemed for.
    assert without.net_wei < with_price.net_wei < 0


def test_shares_that_bring_nothing_are_refused_and_not_sold() -> None:
    """A search for an amount that pays ends at so few shares where none does."""
    dollars = vault(
        share=DAI,
        underlying=Underlying(address=USDC, symbol="USDC", unit=10**6),
        curve=Curve(assets=95, supply=100 * 10**12),
    )
    unwinding = Unwinding(books={DAI: dollars})
    with pytest.raises(RefusedError, match=f"{DAI}: 1000000000000 shares bring nothing"):
        unwinding.redeem(DAI, [10**12], 0, BORROWED)
    desk = replace(desk_of(*POOLS), unwinding=unwinding)
    case = case_with(option_of(DAI, WETH, dollars=20_000))
    found = Planner(terms=terms_of(), venues=(), lenders=()).plan(case, desk)
    assert not isinstance(found, Plan)
    assert "WETH short of what is owed" in found.detail


def test_a_plan_leaves_fewer_shares_to_redeem() -> None:
    case, terms = case_with(option_of(WBTC, USDC, dollars=10_000)), terms_of()
    desk = unwinding_desk(vault())
    best = closest(best_trades(case, desk, terms))
    assert isinstance(best, Trade)
    left = best.leave(desk).unwinding.books[WBTC]
    assert isinstance(left, VaultBook)
    assert left.most == 10**30 - best.seize.received


def test_an_underlying_moves_as_its_share_does() -> None:
    desk = unwinding_desk(vault())
    half = {WBTC: Fraction(1, 2)}
    moved, direct = desk.repriced(half), desk_of(*POOLS).repriced({WETH: Fraction(1, 2), **half})
    assert moved.books == direct.books


def test_others_are_asked_to_sell_the_underlying() -> None:
    case, terms = case_with(option_of(WBTC, USDC, dollars=10_000)), terms_of()
    dollars = Underlying(address=DAI, symbol="DAI", unit=10**18)
    desk = desk_of(*markets(50_000_000, [(DAI, USDC), (DAI, WETH)]))
    book = vault(underlying=dollars, curve=Curve(assets=60_000 * 10**10, supply=1))
    desk = replace(desk, unwinding=Unwinding(books={WBTC: book}))
    best = closest(best_trades(case, desk, terms))
    assert isinstance(best, Trade)
    ask = ask_of(Chosen(case=case, desk=desk, trade=best, alone=case), terms)
    assert ask is not None
    assert (ask.token_in, ask.token_out, ask.decimals) == (DAI, WETH, (18, 18))
    assert ask.amount_in == sum(part.amount_in for part in best.sale)
    assert ask.fair_out == case.valuation.wei_floor(DAI, ask.amount_in)


def test_the_gas_of_redeeming_is_part_of_the_plan() -> None:
    case = case_with(option_of(WBTC, USDC, dollars=10_000), protocol=Bonus())
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    cheap, dear = (planner.plan(case, unwinding_desk(vault(gas=gas))) for gas in (1, 100_001))
    price = unwinding_desk(vault()).gas_price
    assert dear.forecast.gas - cheap.forecast.gas == 100_000 * price


# --- configuration ---------------------------------------------------------------------------

TOKEN, HOLDER = "0x" + "11" * 20, "0x" + "22" * 20
VAULT = {"kind": "erc4626", "token": TOKEN, "holders": [HOLDER]}
ATOKEN = {"kind": "atoken", "token": "0x" + "33" * 20}


def loaded(folder, *tokens: dict[str, object]) -> Settings:
    root = write_settings(folder)
    path = root.parent / "chains" / "ethereum.yaml"
    content = yaml.safe_load(path.read_text("utf-8")) | {"unwind": list(tokens)}
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return load(root)


def test_each_token_is_redeemed_as_it_is_configured(tmp_path) -> None:
    settings = loaded(tmp_path, VAULT, ATOKEN)
    found = [unwinder_for(one, None) for one in settings.chain.unwind]
    assert [type(one) for one in found] == [VaultUnwinder, ATokenUnwinder]
    assert [one.share for one in found] == [TOKEN, ATOKEN["token"]]
    assert [one.gas for one in settings.chain.unwind] == [100_000, 180_000]


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([VAULT, {**ATOKEN, "token": TOKEN}], "duplicate"),
        ([{**VAULT, "holders": []}], "holders"),
        ([{**VAULT, "kind": "erc20"}], "erc4626"),
        ([{**ATOKEN, "pool": HOLDER}], "unknown key 'pool'"),
    ],
)
def test_wrong_entries_are_refused_by_name(tmp_path, tokens, said: str) -> None:
    with pytest.raises(ConfigError, match=r"ethereum\.yaml:") as refused:
        loaded(tmp_path, *tokens)
    assert said in str(refused.value)
