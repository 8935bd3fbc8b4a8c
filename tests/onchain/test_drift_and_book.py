"""A drift that acting found just before the process ended: the next start reads all anew."""

from pathlib import Path

from keeper.app.session import keeper_session
from keeper.config.settings import load
from keeper.core.lending import AccountRef
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.mirror.pauses import Pauses
from tests.e2e.test_drift import change_a_debt_without_a_log
from tests.support.heard import Heard
from tests.support.ledger_records import plan
from tests.support.market_node import MarketNode


def about(ref: AccountRef) -> list[Plan]:
    made = plan()
    return [replace(made, opportunity=replace(made.opportunity, ref=ref))]


async def test_what_drifted_is_not_taken_from_the_book_after_a_person_lifted_the_pause(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    live = market_copy.live
    wanted = KeeperFiles(
        rpc=market_copy.anvil.http_url,
        mode="observe",
        executor=None,
        recipient=None,
        deployments=(aave_file(live.market),),
    )
    settings = load(write_config(tmp_path, live.market, wanted))
    async with keeper_session(settings, Heard()) as session:
        (deployment,) = session.keeper.deployments
        await deployment.start(session.head)
        await deployment.checkpoint()  # as every so many blocks
        borrower = change_a_debt_without_a_log(market_copy)
        live.rpc.call("evm_mine")
        assert await deployment.see_head(await session.chain.reader.head())
        (ref,) = [one for one in deployment.mirror.snapshot.positions if one.account == borrower]
        going, drifted = await deployment._parity.sound(deployment.name, about(ref))
        assert (going, len(drifted)) == ([], 1)
    assert Pauses(settings.database, deployment.name).resume(now=1)
    async with keeper_session(settings, Heard()) as session:
        (deployment,) = session.keeper.deployments
        await deployment.start(session.head)
        held = deployment.mirror.snapshot
        read = await deployment.adapter.read_positions(
            session.chain.reader, session.head, held.market, [ref]
        )
        assert held.positions[ref] == read[ref]
