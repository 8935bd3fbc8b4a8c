"""`keeper deploy`, with a real key on a real node."""

from pathlib import Path

import pytest

from keeper.app.executor_contract import PRETENDED_OPERATOR, read_executor
from keeper.app.opening import opened_chain
from keeper.commands.deploy import InventoryRoles, Roles, deploy
from keeper.config.settings import load
from keeper.core.chain import Transaction
from keeper.devnet.contract import Contract
from keeper.devnet.sender import Sender
from keeper.evm.program import Flash, FlashKind, Program
from keeper.evm.program_encoder import encode
from keeper.venues.inventory_flash import InventoryFlashSource
from tests.support.executor_stage import executor_artifact
from tests.support.keeper_process import ARMED, configured, with_executor
from tests.support.market_node import MarketNode


async def test_the_executor_is_where_it_was_said_to_be_with_its_roles(
    market_copy: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, market_copy, mode="live")
    who = market_copy.market.accounts
    several = tuple(sorted((who.keeper, who.actors[0])))
    roles = Roles(owner=who.deployer, operators=several, recipient=who.recipient)
    named = {
        "owner": who.deployer,
        "operators": (*reversed(several), who.keeper),
        "recipient": who.recipient,
    }
    code = ("eth_getCode", roles.address, "latest")
    await deploy(config, **named, arm=False)
    assert market_copy.live.rpc.call(*code) == "0x"
    for name, value in ARMED.items():
        monkeypatch.setenv(name, value)
    await deploy(config, **named, arm=True)
    async with opened_chain(load(config)) as chain:
        found = await read_executor(chain.reader, roles.address, await chain.reader.head())
    assert (found.operators, found.recipient) == (several, who.recipient)
    assert found.run_by(who.keeper).operator == who.keeper
    await deploy(config, **named, arm=True)
    sent = market_copy.live.rpc.call("eth_getTransactionCount", who.keeper, "latest")
    assert sent == "0x1"


async def test_roles_that_were_changed_since_are_told(
    market_copy: MarketNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = configured(tmp_path, market_copy, mode="live")
    rpc, who = market_copy.live.rpc, market_copy.market.accounts
    named = {"owner": who.deployer, "operators": (who.keeper,), "recipient": who.recipient}
    for name, value in ARMED.items():
        monkeypatch.setenv(name, value)
    await deploy(config, **named, arm=True)
    await deploy(config, **named, arm=False)
    assert "it is there already, with these roles" in capsys.readouterr().err
    roles = Roles(owner=who.deployer, operators=(who.keeper,), recipient=who.recipient)
    executor = Contract(artifact=executor_artifact(), address=roles.address)
    owner = Sender.of(rpc, who.deployer)
    owner.call(executor, "setRecipient", who.supplier)
    owner.call(executor, "disarm")
    owner.mine()
    await deploy(config, **named, arm=False)
    said = " ".join(capsys.readouterr().err.split())
    changed = f"roles were changed since: operators none; recipient {who.supplier}"
    assert changed in said


async def test_the_inventory_lends_the_treasurys_tokens_to_the_executor_alone(
    market_copy: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, market_copy, mode="live")
    live, who = market_copy.live, market_copy.market.accounts
    roles = Roles(owner=who.deployer, operators=(who.keeper,), recipient=who.recipient)
    lent = InventoryRoles(executor=roles.address, treasury=who.supplier)
    named = {
        "owner": who.deployer,
        "operators": (who.keeper,),
        "recipient": who.recipient,
        "treasury": who.supplier,
    }
    await deploy(config, **named, arm=False)
    assert live.rpc.call("eth_getCode", lent.address, "latest") == "0x"
    for name, value in ARMED.items():
        monkeypatch.setenv(name, value)
    await deploy(config, **named, arm=True)
    await deploy(config, **named, arm=True)
    assert live.rpc.call("eth_getTransactionCount", who.keeper, "latest") == "0x2"
    usdc = live.tokens["USDC"]
    treasury = Sender.of(live.rpc, who.supplier)
    treasury.call(usdc, "approve", lent.address, 1_000)
    treasury.mine()
    async with opened_chain(load(config)) as chain:
        head = await chain.reader.head()
        source = InventoryFlashSource(chain.reader, inventory=lent.address)
        book = await source.snapshot([usdc.address], head)
        assert book.most(usdc.address) == 1_000
        inventory = Flash(
            lender=lent.address, asset=usdc.address, amount=1_000, inner=(), kind=FlashKind.ERC_3156
        )
        borrowing = Program(
            deadline=2**40 - 1, profit_token=live.market.weth, min_profit=0, steps=(inventory,)
        )
        runs = [
            Transaction(sender=who.keeper, to=roles.address, data=encode(borrowing)),
            Transaction(sender=who.keeper, to=with_executor(market_copy), data=encode(borrowing)),
        ]
        head = await chain.reader.head()
        done = [
            await chain.simulator.simulate(
                [one], base=head, timestamp=head.timestamp + 12, base_fee=1, overrides={}
            )
            for one in runs
        ]
    assert [one.success for (one,) in done] == [True, False]


async def test_plans_for_an_executor_without_operators_are_rehearsed_with_a_pretended_one(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    executor = with_executor(market_copy)
    who = market_copy.market.accounts
    owner = Sender.of(market_copy.live.rpc, who.deployer)
    owner.add("disarm", to=executor, data=bytes.fromhex("83985082"))
    owner.mine()
    nothing = Program(
        deadline=2**40 - 1, profit_token=market_copy.market.weth, min_profit=0, steps=()
    )
    async with opened_chain(load(configured(tmp_path, market_copy, mode="observe"))) as chain:
        head = await chain.reader.head()
        found = await read_executor(chain.reader, executor, head)
        transaction = Transaction(sender=found.operator, to=executor, data=encode(nothing))
        both = [
            await chain.simulator.simulate(
                [transaction],
                base=head,
                timestamp=head.timestamp + 12,
                base_fee=1,
                overrides=overrides,
            )
            for overrides in (found.overrides, {})
        ]
    assert (found.operators, found.operator) == ((), PRETENDED_OPERATOR)
    assert [one.success for (one,) in both] == [True, False]
