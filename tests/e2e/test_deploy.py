"""`keeper deploy`, with a real key on a real node."""

from pathlib import Path

import pytest

from keeper.app.executor_contract import read_executor
from keeper.app.opening import opened_chain
from keeper.commands.deploy import Roles, deploy
from keeper.config.settings import load
from tests.support.keeper_process import ARMED, configured
from tests.support.market_node import MarketNode


async def test_the_executor_is_where_it_was_said_to_be_with_its_roles(
    market_fork: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, market_fork, mode="live")
    who = market_fork.market.accounts
    roles = Roles(owner=who.deployer, operator=who.keeper, recipient=who.recipient)
    named = {"owner": who.deployer, "operator": who.keeper, "recipient": who.recipient}
    code = ("eth_getCode", roles.address, "latest")
    await deploy(config, **named, arm=False)
    assert market_fork.live.rpc.call(*code) == "0x"
    for name, value in ARMED.items():
        monkeypatch.setenv(name, value)
    await deploy(config, **named, arm=True)
    async with opened_chain(load(config)) as chain:
        found = await read_executor(chain.reader, roles.address, await chain.reader.head())
    assert (found.operator, found.recipient) == (who.keeper, who.recipient)
    await deploy(config, **named, arm=True)
    sent = market_fork.live.rpc.call("eth_getTransactionCount", who.keeper, "latest")
    assert sent == "0x1"
