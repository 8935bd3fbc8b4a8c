"""One keeper on two chains: what befalls one never stops the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.app.deployment import Deployment
from keeper.app.supervision import CHAIN_FAILED
from keeper.core.lending import Reason
from keeper.core.plan import Plan, Submission
from keeper.executor.flight import Flight
from keeper.ledger.books import read_books
from tests.support.keeper_process import running_keeper, until
from tests.support.two_chains import Built, Side, built_chain, kept_up, tampered, write_fleet


@pytest.fixture(scope="module")
def built(anvil_binary: Path) -> Iterator[tuple[Built, Built]]:
    with built_chain(anvil_binary, "north") as north, built_chain(anvil_binary, "south") as south:
        yield north, south


@pytest.fixture
def sides(anvil_binary: Path, built: tuple[Built, Built]) -> Iterator[tuple[Side, Side]]:
    north, south = (Side(built=one, binary=anvil_binary) for one in built)
    with north.stack, south.stack:
        north.start()
        south.start()
        yield north, south


async def test_a_killed_node_stops_its_own_chain_alone_until_it_comes_back(
    sides: tuple[Side, Side], tmp_path: Path
) -> None:
    north, south = sides
    async with kept_up(tmp_path, north, south) as pair:
        north.kill()
        south.fall(6)
        await pair.until(lambda: south.landed >= 2)
        assert north.landed == 0
        north.start()
        north.fall(6)
        await pair.until(lambda: north.landed >= 2)
        await pair.drain()
    for side, settings in zip(sides, pair.fleet.chains, strict=True):
        books = read_books(settings.database)
        assert books.open_intents == 0
        assert books.total.count >= 2
        assert not side.ears.broken


async def test_a_market_that_drifts_on_one_chain_does_not_stop_the_other(
    sides: tuple[Side, Side], tmp_path: Path
) -> None:
    north, south = sides
    root: dict[str, object] = {"audit": {"sample": 500, "every_blocks": 1}}
    async with kept_up(tmp_path, north, south, root=root) as pair:
        tampered(north.session)
        await pair.until(lambda: bool(north.ears.pauses))
        north.fall(6)
        south.fall(6)
        await pair.until(lambda: south.landed >= 2)
        await pair.until(
            lambda: any(one.reason is Reason.MARKET_PAUSED for one in north.ears.rejections)
        )
        assert north.landed == 0
        assert not south.ears.pauses


async def test_a_fault_in_the_loops_of_one_chain_opens_that_chain_anew_and_no_other(
    sides: tuple[Side, Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south = sides
    see_head = Deployment.see_head
    faults = []

    async def fail_once(deployment: Deployment, head: object) -> bool:
        if deployment.name.endswith("north") and not faults:
            faults.append(head)
            msg = "a bug"
            raise RuntimeError(msg)
        return await see_head(deployment, head)

    with capture_logs() as lines:
        async with kept_up(tmp_path, north, south) as pair:
            monkeypatch.setattr(Deployment, "see_head", fail_once)
            await pair.until(lambda: len(north.sessions) == 2)
            north.fall(6)
            south.fall(6)
            await pair.until(lambda: north.landed >= 2 and south.landed >= 2)
            assert len(south.sessions) == 1
            await pair.drain()
    assert [one["kind"] for one in lines if one["event"] == CHAIN_FAILED] == ["RuntimeError"]


async def test_the_total_in_flight_is_of_both_chains(
    sides: tuple[Side, Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south = sides
    root: dict[str, object] = {"totals": {"max_in_flight": 1, "max_gas_per_day_usd": 100_000}}
    flying: list[int] = []
    take_off = Flight.took_off

    def took_off(flight: Flight, plan: Plan, submission: Submission) -> None:
        """Count at once: it may have ended by the time that its node has answered."""
        take_off(flight, plan, submission)
        flying.append(sum(one.session.keeper.in_flight for one in sides))

    monkeypatch.setattr(Flight, "took_off", took_off)
    async with kept_up(tmp_path, north, south, root=root) as pair:
        north.fall(6)
        south.fall(6)
        await pair.until(lambda: north.landed >= 1 and south.landed >= 1)
        await pair.drain()
    assert set(flying) == {1}
    said = [one.detail for side in sides for one in side.ears.rejections]
    assert any("in flight on all chains, the cap is 1" in one for one in said)


def test_a_process_serves_both_chains_says_which_and_drains_them(
    sides: tuple[Side, Side], tmp_path: Path
) -> None:
    config = write_fleet(tmp_path, *sides, root={"mode": "observe"})
    with running_keeper(config) as keeper:

        def heard() -> set[object]:
            return {one["chain"] for one in keeper.events("block.scanned")}

        until(lambda: heard() == {"north", "south"})
        assert keeper.interrupt() == 0
    said = "".join(keeper.lines)
    assert "disarmed on north: aave_v3.north is watched" in said
    assert "disarmed on south: morpho_blue.south is watched" in said


def test_a_process_serves_the_chain_whose_node_is_there_and_says_what_the_other_lacks(
    sides: tuple[Side, Side], tmp_path: Path
) -> None:
    north, south = sides
    config = write_fleet(tmp_path, north, south, root={"mode": "observe"})
    south.kill()
    with running_keeper(config) as keeper:
        until(lambda: bool(keeper.events("block.scanned") and keeper.events(CHAIN_FAILED)))
        assert {one["chain"] for one in keeper.events("block.scanned")} == {"north"}
        failed = keeper.events(CHAIN_FAILED)[0]
        assert failed["chain"] == "south"
        assert "south/chain.yaml: rpc: " in str(failed["why"])
        assert keeper.interrupt() == 0
