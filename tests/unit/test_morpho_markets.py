"""Which markets are followed, what logs touch, and what is not known is said."""

import pytest

from keeper.core.chain import Log
from keeper.core.errors import ConfigError, RefusedError, StaleError
from keeper.core.lending import AccountRef, Option
from keeper.core.units import MAX_UINT256, Address, Hash32
from keeper.core.values import replace
from keeper.evm.words import word_of_address
from keeper.protocols.morpho_blue import codec, events
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.state import MarketParams, MorphoPosition, RateModel
from keeper.protocols.registry import adapter_for
from tests.support.morpho_market import (
    ALICE,
    EARLY,
    FACTORY,
    MARKETS,
    MORPHO,
    NOW,
    USDC,
    WBTC,
    WETH,
    account,
    deployment,
    isolated,
)

OTHER = Address("0x" + "0b" * 20)
FIRST, SECOND, _ = MARKETS
NOTHING = frozenset[str]()


def wanting(**filters: object) -> Parameters:
    return Parameters(morpho=MORPHO, **filters)  # type: ignore[arg-type]


def adapter(**filters: object) -> MorphoAdapter:
    return MorphoAdapter(deployment="m", start_block=0, parameters=wanting(**filters))


def log(topics: list[str], data: bytes = b"", address: Address = MORPHO) -> Log:
    return Log(
        address=address,
        topics=tuple(Hash32(one) for one in topics),
        data=data,
        block_number=1,
        block_hash=Hash32("0x" + "11" * 32),
        tx_hash=Hash32("0x" + "22" * 32),
        index=0,
    )


def word(value: Address) -> str:
    return "0x" + word_of_address(value).hex()


@pytest.mark.parametrize(
    ("filters", "followed"),
    [
        ({}, {0, 1, 2}),
        ({"markets": (FIRST.id,)}, {0}),
        ({"ignored_markets": (FIRST.id.upper().replace("X", "x"),)}, {1, 2}),
        ({"loan_assets": (WETH.address, WBTC.address)}, {1, 2}),
        ({"collateral_assets": (WETH.address,)}, {0}),
        ({"oracles": (SECOND.params.oracle,)}, {1}),
        ({"min_lltv_bps": 8_600}, {0, 1}),
        ({"min_lltv_bps": 8_600, "max_lltv_bps": 9_000}, {0}),
    ],
)
def test_a_market_is_followed_when_it_passes_every_filter(filters: dict, followed: set[int]):
    wanted = wanting(**filters)
    assert {i for i, one in enumerate(MARKETS) if wanted.wants(one.id, one.params)} == followed


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"morpho": "0x12"}, "expected an address"),
        ({"morpho": MORPHO, "markets": ("0x12",)}, "markets.0: expected a market id of 0x"),
        ({"morpho": MORPHO, "loan_assets": ("USDC",)}, "expected an address"),
        ({"morpho": MORPHO, "min_lltv_bps": 9_000, "max_lltv_bps": 8_000}, "max_lltv_bps"),
        ({"morpho": MORPHO, "pool": MORPHO}, "expected .*morpho.*, found pool"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        adapter_for("morpho_blue", deployment="m", start_block=0, parameters=parameters)


def test_each_event_touches_its_market_and_the_account_that_it_names():
    market = deployment()
    caller, payer = "0x" + "77" * 32, word(OTHER)
    rows = {
        codec.BORROW_EVENT: [FIRST.id, word(ALICE), payer],
        codec.REPAY_EVENT: [FIRST.id, payer, word(ALICE)],
        codec.SUPPLY_COLLATERAL_EVENT: [FIRST.id, payer, word(ALICE)],
        codec.WITHDRAW_COLLATERAL_EVENT: [FIRST.id, word(ALICE), payer],
        codec.LIQUIDATE_EVENT: [FIRST.id, payer, word(ALICE)],
    }
    both = {AccountRef(market=name, account=ALICE) for name in (FIRST.id, EARLY.address)}
    for event, topics in rows.items():
        found = events.touched(market, wanting(), [log([event, *topics])])
        assert found.accounts == both
        assert found.parts == {FIRST.id}
    for event in events.MARKETS - rows.keys():
        found = events.touched(market, wanting(), [log([event, FIRST.id, caller, caller])])
        assert (found.accounts, found.parts) == (frozenset(), {FIRST.id})


def test_markets_that_are_not_followed_touch_nothing():
    market = deployment(markets=(SECOND,), early=())
    found = events.touched(
        market, wanting(), [log([codec.BORROW_EVENT, FIRST.id, word(ALICE), word(ALICE)])]
    )
    assert (found.accounts, found.parts) == (frozenset(), NOTHING)


def test_a_new_market_is_taken_up_when_it_passes_the_filters():
    market = deployment(markets=(SECOND,), early=())
    announced = log([codec.CREATE_MARKET, FIRST.id], codec.words_of_params(FIRST.params))
    assert events.touched(market, wanting(), [announced]).parts == {FIRST.id}
    picky = wanting(loan_assets=(WBTC.address,))
    assert events.touched(market, picky, [announced]).parts == NOTHING


def test_an_announcement_whose_id_is_not_that_of_its_parameters_is_none():
    market = deployment(markets=(SECOND,), early=())
    forged = log([codec.CREATE_MARKET, SECOND.id], codec.words_of_params(FIRST.params))
    assert events.touched(market, wanting(), [forged]).parts == NOTHING


def test_consent_to_early_liquidation_touches_the_borrower_there():
    market = deployment()
    topics = [codec.SET_AUTHORIZATION_EVENT, word(OTHER), word(ALICE)]
    found = events.touched(market, wanting(), [log([*topics, word(EARLY.address)])])
    assert found.accounts == {AccountRef(market=EARLY.address, account=ALICE)}
    assert found.parts == {EARLY.address}
    stranger = events.touched(market, wanting(), [log([*topics, word(OTHER)])])
    assert (stranger.accounts, stranger.parts) == (frozenset(), NOTHING)


def test_an_account_that_did_not_consent_is_touched_in_its_market_alone():
    topics = [codec.BORROW_EVENT, FIRST.id, word(OTHER), word(OTHER)]
    found = events.touched(deployment(), wanting(), [log(topics)])
    assert found.accounts == {AccountRef(market=FIRST.id, account=OTHER)}


def test_a_new_early_liquidation_contract_is_read():
    topics = [codec.CREATE_PRE_LIQUIDATION, word(OTHER)]
    found = events.touched(deployment(), wanting(), [log(topics, address=FACTORY)])
    assert found.parts == {OTHER}


def test_owing_exactly_the_limit_is_healthy():
    market = replace(FIRST, model=RateModel.NONE, updated=NOW)
    view = deployment(markets=(market,), early=())
    price = view.prices[market.params.oracle]
    limit = 10**18 * price // 10**36 * market.params.lltv // 10**18
    line = view.lines[market.id]
    shares = limit * (line.totals.borrow_shares + 10**6) // (line.totals.borrow_assets + 1)
    at_line = MorphoPosition(market=market.id, shares=shares, collateral=10**18)
    assert adapter().assess(view, at_line).debt_base == limit
    assert not adapter().assess(view, at_line).liquidatable
    over = replace(at_line, shares=shares + 2 * 10**6)
    assert adapter().assess(view, over).liquidatable


def test_an_early_liquidation_has_a_window():
    view, port = deployment(), adapter()
    for ltv_bps, liquidatable in ((7_900, False), (8_200, True), (8_599, True), (8_700, False)):
        position = account(view, EARLY.address, ltv_bps=ltv_bps)
        assert port.assess(view, position).liquidatable is liquidatable
        assert bool(port.options(view, position)) is liquidatable


def test_a_dear_oracle_of_ones_own_does_not_take_what_morpho_would_not_give():
    view = deployment(prices={**deployment().prices, FIRST.params.oracle: 10**27})
    position = account(deployment(), EARLY.address, ltv_bps=8_200)
    option = Option(collateral=WETH.address, debt=USDC.address, max_repay=10**12)
    assert adapter().options(view, position) == ()
    with pytest.raises(RefusedError, match="insufficient collateral"):
        adapter().seize(view, position, option, MAX_UINT256)


def test_an_unknown_rate_model_is_said_and_never_guessed():
    market = isolated(model=RateModel.UNKNOWN)
    view = deployment(markets=(market,), early=())
    position = account(deployment(), market.id, ltv_bps=5_000)
    with pytest.raises(StaleError, match="interest rate model"):
        adapter().assess(view, position)


def test_a_market_without_debt_is_not_priced():
    empty = isolated(totals=FIRST.totals._replace(borrow_assets=0, borrow_shares=0))
    assert adapter().feeds(deployment(markets=(empty,), early=())) == ()
    assert len(adapter().feeds(deployment())) == 4


def test_a_market_whose_last_loan_was_just_closed_is_priced_for_the_books():
    totals = FIRST.totals._replace(borrow_assets=0, borrow_shares=0)
    closed = isolated(totals=totals, updated=NOW - 86_399)
    (feed,) = adapter().feeds(deployment(markets=(closed,), early=()))
    assert feed.id == closed.params.oracle


def test_values_are_of_one_market_and_one_unit():
    view, port = deployment(), adapter()
    values = port.asset_values(view, FIRST.id)
    weth, usdc = values[WETH.address], values[USDC.address]
    assert weth.price == 2_000 * usdc.price
    (btc_in_weth, weth_in_weth) = (
        port.asset_values(view, SECOND.id)[token.address] for token in (WBTC, WETH)
    )
    assert btc_in_weth.price == 15 * weth_in_weth.price


def test_a_market_of_a_name_never_seen_is_stale():
    with pytest.raises(StaleError, match="expected it to be followed"):
        adapter().asset_values(deployment(), "0x" + "99" * 32)


def test_the_id_is_of_the_five_words():
    changed = MarketParams(*FIRST.params[:4], FIRST.params.lltv + 1)
    assert codec.id_of(FIRST.params) == FIRST.id
    assert codec.id_of(changed) != FIRST.id
