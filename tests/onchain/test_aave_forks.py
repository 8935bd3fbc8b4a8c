"""A fork numbers its Pool by itself: what the file says of it is held against the real Pool."""

import pytest

from keeper.core.errors import ConfigError
from keeper.protocols.aave_v3.revision import RELEASES
from tests.support.aave_fork import read_as_fork
from tests.support.market_node import MarketNode


async def test_the_rules_are_those_that_the_file_gives_the_pools_own_number(
    local_market: MarketNode,
) -> None:
    market = await read_as_fork(local_market, {1: "3.0", 7: "3.3"})
    assert (market.revision, market.rules.release) == (1, "3.0")
    assert market == await read_as_fork(local_market, {})


async def test_a_number_that_the_file_does_not_give_is_not_known(local_market: MarketNode) -> None:
    with pytest.raises(ConfigError) as caught:
        await read_as_fork(local_market, {4: "3.0", 5: "3.1"})
    pool = local_market.market.pool
    assert str(caught.value) == (
        f"fork.local: POOL_REVISION of {pool}: expected one of parameters.revisions (4, 5), found 1"
    )


@pytest.mark.parametrize("release", [one for one in RELEASES if one != "3.0"])
async def test_later_rules_are_refused_on_a_pool_without_their_functions(
    local_market: MarketNode, release: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"of the rules of {release}: expected getLiquidationGrac"
    ):
        await read_as_fork(local_market, {1: release})
