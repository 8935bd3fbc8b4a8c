"""What a price brings is planned and rehearsed while its block is read, and never sent on a guess.

The proxy keeps back what the node says of the block until the rehearsal is asked for.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from keeper.chain.rpc import RetryPolicy
from keeper.core.plan import Status
from keeper.devnet.assets import ASSETS
from keeper.devnet.live import LiveMarket
from keeper.devnet.prices import move_market, push_prices
from keeper.ledger.books import read_books
from tests.support.adapted import read_by_ratio
from tests.support.fault_desk import PATIENCE_S, Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Hold
from tests.support.market_node import MarketNode

PATIENT = RetryPolicy(timeout_s=PATIENCE_S, budget_s=PATIENCE_S)
UNPREPARED = {"sending": {"prearm_accounts": 0}}
FIRST, NEXT = 9_550, 9_400
"""Prices of ether, basis points of that at the start: each brings a loan or two under the line."""

Move = Callable[[LiveMarket, dict[str, int]], int]


def move_to(desk: Desk, bps: int, move: Move) -> None:
    move(desk.node.live, {"WETH": ASSETS["WETH"].price * bps // 10_000})


async def rehearsals_of(
    desk: Desk, proxy: FaultProxy, move: Move, held: Sequence[str] = ("eth_getLogs",)
) -> int:
    """Let the price move, with these reads of its block kept back until a rehearsal is asked for.

    Return how many rehearsals are asked for. The exchange's pools are known from one sent before.
    """
    move_to(desk, FIRST, push_prices)
    await desk.settle()
    desk.mine()  # so that the pools that these left are read before the next ones
    await desk.at_head()
    sent, before = len(desk.ears.sent_plans), len(proxy.methods)
    assert sent
    hold = Hold()
    rules = [proxy.spoil(hold, method=one) for one in held]
    move_to(desk, NEXT, move)
    await desk.until(hold.answered.is_set)
    await desk.until(lambda: "eth_simulateV1" in proxy.methods[before:])
    assert len(desk.ears.sent_plans) == sent
    for rule in rules:
        proxy.rules.remove(rule)
    hold.release.set()
    await desk.until(lambda: len(desk.ears.sent_plans) > sent)
    asked = proxy.methods[before:].count("eth_simulateV1")
    await desk.settle()
    return asked


def require_exact(desk: Desk) -> None:
    """All that was sent landed and came to what was forecast, to the wei."""
    landed = [one for one in read_books(desk.settings.database).entries if one.counts]
    assert len(landed) == len(desk.ears.sent_plans)
    for one in landed:
        assert one.status is Status.LANDED
        assert one.realised == one.forecast
    desk.require_invariants()


async def test_a_price_alone_in_its_block_is_rehearsed_before_that_is_read_and_once(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    urls = [proxy.ws_url]
    async with keeper_desk(tmp_path, market, urls, retry=PATIENT, root=UNPREPARED) as desk:
        assert await rehearsals_of(desk, proxy, push_prices) == 1
        require_exact(desk)


async def test_one_that_moves_what_is_a_multiple_of_it_too_is_waited_for_no_longer(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    ratio = ASSETS["wstETH"].price * 10**18 // ASSETS["WETH"].price
    read_by_ratio(market.live, "wstETH", of="WETH", ratio=ratio)
    urls = [proxy.ws_url]
    async with keeper_desk(tmp_path, market, urls, retry=PATIENT, root=UNPREPARED) as desk:
        # Not how often: what is kept back so long may be planned for anew at its head.
        assert await rehearsals_of(desk, proxy, push_prices, ("eth_getLogs", "eth_call"))
        brought = {plan.opportunity.trigger for plan, _ in desk.ears.sent_plans}
        assert any("wstETH" in one for one in brought)
        require_exact(desk)


async def test_where_pools_moved_with_the_price_it_is_planned_and_rehearsed_anew(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    urls = [proxy.ws_url]
    async with keeper_desk(tmp_path, market, urls, retry=PATIENT, root=UNPREPARED) as desk:
        assert await rehearsals_of(desk, proxy, move_market) == 2
        require_exact(desk)
