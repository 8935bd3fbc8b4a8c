"""What a look at every loan finds, and what it must not find."""

from collections.abc import Mapping

import pytest

from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef, Price, Reason
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from keeper.scanner.scan import NO_PAIR, Book, Scan, scan
from tests.support.aave_market import (
    NOW,
    PRICES,
    PROVIDER,
    RESERVES,
    USD,
    USDC,
    WBTC,
    WETH,
    account,
    market,
    ref,
)

ADAPTER = AaveAdapter(
    deployment="aave_v3.local", start_block=0, parameters=Parameters(addresses_provider=PROVIDER)
)
BLOCK = BlockRef(
    number=7,
    hash=Hash32("0x" + "07" * 32),
    parent_hash=Hash32("0x" + "06" * 32),
    timestamp=NOW,
    base_fee=10**9,
    gas_used=0,
    gas_limit=30_000_000,
)
ETH_BY_ID, USDC_BY_ID, BTC_BY_ID = 0, 1, 2


def owing(dollars: int, *, collateral: int = ETH_BY_ID, units: int = 10**18) -> AavePosition:
    """Hold one unit of a collateral, 80 % of which counts, and owe dollars."""
    return account({collateral: units}, {USDC_BY_ID: dollars * 10**6})


SAFE, EDGE, SICK, WORSE = owing(1_000), owing(1_600), owing(1_650), owing(1_900)
BITCOIN = owing(25_000, collateral=BTC_BY_ID, units=10**8)


def person(number: int) -> AccountRef:
    return ref(Address(f"0x{number:040x}"))


def look(
    *positions: AavePosition,
    of: AaveMarket | None = None,
    prices: Mapping[str, int] = PRICES,
    problems: Mapping[str, str] | None = None,
    later_s: int = 0,
) -> Scan[AaveMarket]:
    """Scan accounts that are numbered from 1."""
    book = Book(
        block=BLOCK,
        market=of or market(prices={}),
        positions={person(i): one for i, one in enumerate(positions, 1)},
        prices={key: Price(value=v, block=7, updated_at=NOW) for key, v in prices.items()},
        problems=problems or {},
    )
    return scan(ADAPTER, book, number=8, timestamp=NOW + later_s, trigger="a test")


def test_only_accounts_under_the_line_are_opportunities() -> None:
    found = look(SAFE, EDGE, SICK)
    assert [one.ref for one in found.opportunities] == [person(3)]
    assert found.rejections == ()
    assert found.health.keys() == {person(1), person(2), person(3)}


def test_exactly_on_the_line_is_healthy_and_one_unit_more_is_not() -> None:
    over = account({ETH_BY_ID: 10**18}, {USDC_BY_ID: 1_600 * 10**6 + 1})
    found = look(EDGE, over)
    assert found.health[person(1)].health_factor == WAD
    assert [one.ref for one in found.opportunities] == [person(2)]


@pytest.mark.parametrize("order", [(SICK, WORSE, BITCOIN), (BITCOIN, WORSE, SICK)])
def test_opportunities_come_worst_first(order: tuple[AavePosition, ...]) -> None:
    found = look(*order).opportunities
    factors = [one.health.health_factor for one in found]
    assert len(factors) == 3
    assert factors == sorted(factors)


def test_an_opportunity_carries_the_target_time_its_options_and_its_trigger() -> None:
    (one,) = look(SICK, later_s=12).opportunities
    assert (one.block, one.timestamp, one.trigger) == (BLOCK, NOW + 12, "a test")
    assert [(o.collateral, o.debt) for o in one.options] == [(WETH, USDC)]


def test_interest_until_the_target_block_counts() -> None:
    reserves = tuple(replace(one, variable_rate=10**26) for one in RESERVES)
    growing = market(reserves=reserves, prices={})
    assert look(EDGE, of=growing).opportunities == ()
    assert [one.ref for one in look(EDGE, of=growing, later_s=60).opportunities] == [person(1)]


def test_a_feed_with_a_problem_rejects_whoever_depends_on_it_and_nobody_else() -> None:
    found = look(SICK, BITCOIN, problems={WBTC: "WBTC: stale"})
    assert [one.ref for one in found.opportunities] == [person(1)]
    (no,) = found.rejections
    assert (no.ref, no.reason, no.detail) == (person(2), Reason.PRICE_UNUSABLE, "WBTC: stale")
    assert no.block == BLOCK.number


def test_a_problem_of_the_debt_s_feed_rejects_as_well() -> None:
    found = look(SICK, problems={USDC: "USDC: stale"})
    assert found.opportunities == ()
    assert [one.reason for one in found.rejections] == [Reason.PRICE_UNUSABLE]


def test_a_healthy_account_is_not_rejected_for_a_feed_with_a_problem() -> None:
    assert look(SAFE, problems={WETH: "WETH: stale"}).rejections == ()


@pytest.mark.parametrize("missing", [WETH, USDC])
def test_an_account_without_a_price_is_unknown_and_never_healthy(missing: Address) -> None:
    known = {key: value for key, value in PRICES.items() if key != missing}
    found = look(SAFE, SICK, prices=known)
    assert found.health == {}
    assert found.opportunities == ()
    assert {one.ref for one in found.rejections} == {person(1), person(2)}
    assert {one.reason for one in found.rejections} == {Reason.PRICE_UNUSABLE}


def test_a_missing_price_leaves_accounts_that_do_not_need_it_alone() -> None:
    found = look(BITCOIN, SICK, prices={WETH: 2_000 * USD, USDC: USD})
    assert [one.ref for one in found.opportunities] == [person(2)]
    assert [one.ref for one in found.rejections] == [person(1)]


def test_under_the_line_without_a_pair_says_so() -> None:
    paused = (replace(RESERVES[0], is_paused=True), *RESERVES[1:])
    found = look(SICK, of=market(reserves=paused, prices={}))
    assert found.opportunities == ()
    (no,) = found.rejections
    assert (no.reason, no.detail) == (Reason.NO_OPTION, NO_PAIR)
    assert found.health[person(1)].liquidatable


def test_a_debt_without_collateral_is_called_bad_debt_of_how_much() -> None:
    found = look(account({}, {USDC_BY_ID: 500 * 10**6}))
    assert found.opportunities == ()
    (no,) = found.rejections
    assert no.reason is Reason.NO_OPTION
    assert no.detail == (
        f"no collateral is left that counts: bad debt of {500 * USD} in the market's base unit"
    )


def test_no_loan_is_forgotten() -> None:
    found = look(SAFE, EDGE, SICK, WORSE, BITCOIN, prices={WETH: 2_000 * USD, USDC: USD})
    assert len(found.health) + len(found.rejections) == 5
