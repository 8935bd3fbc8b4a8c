"""Venus: thresholds by pool, the Liquidator and its treasury, a fee on redeeming, native coin."""

from collections.abc import Iterator
from random import Random

from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2.state import Pool, Risk
from tests.conformance.case import Case
from tests.conformance.cases_compound_v2 import case
from tests.support.compound_market import BLOCK, MARKETS, THROUGH, deployment, vai


def cases() -> Iterator[Case]:
    """Yield Venus as it is, and with everything that governance may turn on."""
    markets = tuple(replace(one, rate=10**10) for one in MARKETS)
    owing = vai(rate=10**10, accrued_at=BLOCK - 50)
    yield with_vai(case("venus", deployment(markets, liquidator=THROUGH, vai=owing), "venus"))
    alone = deployment(markets, vai=owing)
    yield with_vai(case("venus without its Liquidator", alone, "venus"))
    risky = Risk(threshold=93 * WAD // 100, incentive=102 * WAD // 100)
    in_pool = tuple(
        replace(one, risks={**one.risks, 1: risky}) if one.number < 2 else one for one in markets
    )
    full = deployment(
        in_pool,
        liquidator=THROUGH,
        vai=vai(),
        redeem_fee=WAD // 1_000,
        pools={1: Pool(active=True, falls_back=True)},
    )
    yield case("venus with pools", full, "venus")


def with_vai(plain: Case) -> Case:
    """Let every third account owe VAI, some of it past interest."""
    random = Random(7)  # noqa: S311 - accounts, not secrets
    changed = {}
    for number, (ref, position) in enumerate(plain.positions.items()):
        owed = random.choice((3, 900, 40_000)) * WAD if number % 3 == 0 else 0
        changed[ref] = replace(
            position, vai_minted=owed, vai_past_interest=owed // 9, vai_index=WAD - WAD // 50
        )
    return replace(plain, positions=changed)
