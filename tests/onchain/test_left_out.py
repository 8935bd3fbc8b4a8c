"""What lands of a deployment that was left out at the start stays in flight and ends nothing."""

from pathlib import Path

from keeper.app.session import keeper_session
from keeper.config.settings import load
from keeper.core.plan import Intent, Status
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.stage_aave_v3 import aave_file
from tests.support.heard import Heard
from tests.support.ledger_records import plan, submission
from tests.support.market_node import MarketNode


async def test_what_landed_of_a_deployment_that_was_never_read_stays_in_flight(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    live, file = market_copy.live, aave_file(market_copy.live.market)
    wanted = KeeperFiles(
        rpc=market_copy.anvil.http_url,
        mode="observe",
        executor=None,
        recipient=None,
        deployments=(file,),
    )
    number = push_prices(live, {"WETH": oracle_prices(live)["WETH"]})
    (tx_hash,) = live.rpc.call("eth_getBlockByNumber", hex(number), False)["transactions"]
    raw = bytes.fromhex(live.rpc.call("eth_getRawTransactionByHash", tx_hash)[2:])
    async with keeper_session(
        load(write_config(tmp_path, live.market, wanted)), Heard()
    ) as session:
        (deployment,) = session.keeper.deployments  # as where its start met a setting
        made = plan(deployment=deployment.name)
        landed = Intent(
            plan_id=made.id,
            deployment=deployment.name,
            ref=made.ref,
            status=Status.SIGNED,
            tip=0,
            deadline=made.deadline,
            submission=replace(submission(made), tx_hash=tx_hash, raw=raw),
        )
        sending = session.keeper.sending
        sending.flight.reopened(landed)
        for _ in range(3):
            live.rpc.call("evm_mine")
        head = await session.chain.reader.head()
        assert await sending.settler.settle(head) == []
        assert list(sending.flight.airborne) == [made.id]
