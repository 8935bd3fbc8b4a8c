"""The doctor on the local market: what it finds good, and what it finds wrong."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from keeper.app.session import keeper_session
from keeper.app.totals import OLDEST_ANSWER_S
from keeper.commands.doctor import doctor
from keeper.commands.rearm import rearm_sending
from keeper.commands.running import run_command
from keeper.config.settings import load
from keeper.core.errors import ConfigError, KeeperError
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.chainlink import aggregator_artifact
from keeper.devnet.contract import load_artifact
from keeper.devnet.executor import deploy_executor, deploy_inventory
from keeper.devnet.packages import ensure
from keeper.devnet.sender import Sender
from keeper.evm.program import Program
from keeper.evm.program_encoder import encode
from tests.support.command_output import Printed, json_lines
from tests.support.executor_stage import mine
from tests.support.halted import leave_halted
from tests.support.heard import Heard
from tests.support.keeper_process import configured, with_executor
from tests.support.market_node import MarketNode

DISARM = "0x83985082"
"""Of the executor's ``disarm()``."""


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Return what was printed on stdout since the last time."""
    return lambda: capsys.readouterr().out


def test_doctor_finds_a_sound_market_good(market_copy, tmp_path, printed):
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is True
    found = json_lines(printed())
    assert all(list(one) == ["what", "good", "detail", "chain"] for one in found)
    assert all(one["good"] for one in found)
    what = [one["what"] for one in found]
    assert {"chain id", "multicall3", "executor", "aave_v3.local: market"} <= set(what)
    assert len([one for one in what if ": feed " in one]) == len(market_copy.market.assets)


def test_doctor_finds_what_keeps_it_from_sending(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")

    def sending() -> tuple[bool, str]:
        run_command(lambda: doctor(config, as_json=True))
        (found,) = [one for one in json_lines(printed()) if one["what"] == "sending"]
        return found["good"], found["detail"]

    assert sending() == (True, "not halted")
    database = tmp_path / "keeper.sqlite"
    leave_halted(market_copy, database, "circuit breaker: a drill")
    said = "halted: circuit breaker: a drill; keeper rearm lets it go on"
    assert sending() == (False, said)
    rearm_sending(config, as_json=False)
    assert sending() == (True, "not halted")
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("UPDATE meta SET chain_id = 56")
    assert sending() == (False, f"{database}: expected a database of chain id 31337, found 56")
    database.unlink()
    switch = tmp_path / "HALT"
    switch.touch()
    with config.open("a", encoding="utf-8") as file:
        file.write(f"sending: {{halt_file: {switch}}}\n")
    assert sending() == (False, f"halted: the kill switch's file is there, {switch}")
    config.write_text(config.read_text("utf-8").replace(str(switch), "H" * 300), "utf-8")
    assert sending()[1].endswith("the kill switch's file is there, found: File name too long")
    with pytest.raises(ConfigError, match="expected to be told whether"):
        rearm_sending(config, as_json=False)


def test_a_recipient_that_a_wei_from_anybody_would_make_the_end_of_is_found(
    market_copy, tmp_path, printed
):
    """A program sends on what native coin it finds, and a token takes none."""
    rpc, who = market_copy.live.rpc, market_copy.market.accounts
    token = market_copy.live.tokens["USDC"].address
    executor = deploy_executor(rpc, owner=who.deployer, operator=who.keeper, recipient=token)
    nothing = Program(
        deadline=2**40 - 1, profit_token=market_copy.market.weth, min_profit=0, steps=()
    )
    call = {"from": who.keeper, "to": executor, "data": "0x" + encode(nothing).hex()}
    rpc.call("eth_call", call, "latest")
    rpc.call("anvil_setBalance", executor, hex(1))
    with pytest.raises(KeeperError):
        rpc.call("eth_call", call, "latest")
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is False
    (found,) = [one for one in json_lines(printed()) if not one["good"]]
    assert found["what"] == "executor"
    assert f"recipient {token}: expected one that takes ETH" in found["detail"]


def test_an_inventory_that_lends_to_another_executor_is_found_and_refused(
    market_copy, tmp_path, printed
):
    """It would be the first to be asked, and every plan that borrowed of it would revert."""
    old, new = with_executor(market_copy), with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="observe", executor=new)
    rpc, who = market_copy.live.rpc, market_copy.market.accounts
    lent = [
        deploy_inventory(rpc, deployer=who.deployer, executor=one, treasury=who.supplier)
        for one in (new, old)
    ]
    chain = config.parent / "chain.yaml"
    content = yaml.safe_load(chain.read_text("utf-8"))

    def named(*inventories: str) -> None:
        sources = [{"kind": "inventory", "pool": one} for one in inventories]
        chain.write_text(yaml.safe_dump(content | {"flash_sources": sources}), "utf-8")

    def found() -> tuple[bool, str]:
        run_command(lambda: doctor(config, as_json=True))
        (one,) = [one for one in json_lines(printed()) if one["what"] == "inventory"]
        return one["good"], one["detail"]

    async def started() -> None:
        async with keeper_session(load(config), Heard()):
            pass

    named(lent[0])
    assert found() == (True, f"lends to {new}")
    asyncio.run(started())
    named(*lent)
    said = f"{chain}: flash_sources.1.pool: expected an inventory of executor {new}, found {old}"
    assert found() == (False, said)
    with pytest.raises(ConfigError, match=f"executor {new}, found {old}"):
        asyncio.run(started())


def test_doctor_finds_guards_of_feeds_that_are_not_there(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")
    source = market_copy.market.asset("WBTC").feed
    second = f"{{kind: chainlink, feed: '{source}'}}"
    with (tmp_path / "aave_v3.local.yaml").open("a", encoding="utf-8") as file:
        file.write(
            f"heartbeats_s: {{WETH: 90000, '{source}': 90000, WETC: 60}}\n"
            "oracle:\n  max_moves_bps: {wEth: 100, DAI: 100}\n"
            f"  second_sources: {{PEPE: {second}}}\n"
        )
    assert run_command(lambda: doctor(config, as_json=True)) is False
    found = [one["detail"] for one in json_lines(printed()) if one["what"].endswith(": guards")]
    wanted = "expected the label or the source of one of its feeds"
    assert found == [
        f"heartbeats_s: {wanted}, found 'WETC'; did you mean 'WETH'?",
        f"oracle.max_moves_bps: {wanted}, found 'wEth'; did you mean 'WETH'?",
        f"oracle.second_sources: {wanted}, found 'PEPE'",
    ]


def test_doctor_finds_a_password_that_every_user_may_read(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        password = Path(folder) / "password"
        with config.open("a", encoding="utf-8") as file:
            keystore = Path(folder) / "key.json"
            file.write(f"operator: {{password_file: {password}, keystore: {keystore}}}\n")

        def found(what: str = "password_file") -> tuple[bool, str]:
            run_command(lambda: doctor(config, as_json=True))
            lines = json_lines(printed())
            (found,) = [one for one in lines if one["what"] == f"operator.{what}"]
            return found["good"], found["detail"]

        gone = f"{keystore}: expected a keystore, found No such file or directory"
        assert found("keystore") == (False, gone)
        keystore.touch(0o600)
        assert found("keystore") == (True, f"{keystore}: not for every user of this machine")

        missing = f"{password}: expected a password file, found No such file or directory"
        assert found() == (False, missing)
        password.write_text("open", "utf-8")
        password.chmod(0o644)
        exposed = "expected mode 0600, found 0644: every user of this machine reads it"
        assert found() == (False, f"{password}: {exposed}")
        password.chmod(0o440)
        assert found() == (True, f"{password}: not for every user of this machine")


def test_doctor_finds_a_poor_operator(market_copy, tmp_path, printed):
    executor = with_executor(market_copy)
    keeper = market_copy.market.accounts.keeper
    market_copy.live.rpc.call("anvil_setBalance", keeper, "0x1")
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is False
    (bad,) = [one for one in json_lines(printed()) if not one["good"]]
    assert bad["what"] == "executor"
    assert bad["detail"].endswith("found 1 wei")


def test_doctor_finds_an_executor_that_nobody_operates(market_copy, tmp_path, printed):
    live, who = market_copy.live, market_copy.market.accounts
    executor = with_executor(market_copy)
    disarm = {"from": who.deployer, "to": executor, "data": DISARM, "gas": hex(10**6)}
    assert mine(live.rpc, disarm)["status"] == "0x1"
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is False
    (bad,) = [one for one in json_lines(printed()) if not one["good"]]
    assert bad["detail"].endswith("expected an operator, found none: the contract is disarmed")


@pytest.mark.parametrize(
    ("at", "replaced", "what", "said"),
    [
        (
            ("wrapped_native",),
            "USDC",
            "wrapped_native: token",
            "expected a token of 18 decimals, as the native coin has, found USDC of 6",
        ),
        (
            ("native_feed",),
            "WETH",
            "native_feed: price",
            "expected a Chainlink feed with an answer, found none",
        ),
        (
            ("venues", 0, "quoter_v2"),
            "WETH",
            "venues.0: uniswap_v3",
            "expected a quoter of Uniswap V3, found a contract that does not answer 0xc45a0155",
        ),
        (
            ("venues", 0, "factory"),
            "WETH",
            "venues.0: uniswap_v3",
            "expected a factory of Uniswap V3, found a contract that does not answer 0x22afcccb",
        ),
        (
            ("flash_sources", 0, "pool"),
            "WETH",
            "flash_sources.0: aave_v3",
            "expected a Pool of Aave V3, found a contract that does not answer 0x074b2e43",
        ),
    ],
)
def test_doctor_finds_a_contract_that_is_another_than_it_should(
    market_copy, tmp_path, printed, at, replaced, what, said
):
    config = configured(tmp_path, market_copy, mode="observe")
    token = market_copy.market.asset(replaced).token
    path = tmp_path / "chain.yaml"
    chain = yaml.safe_load(path.read_text("utf-8"))
    *way, last = at
    part = chain
    for key in way:
        part = part[key]
    part[last] = token
    path.write_text(yaml.safe_dump(chain), "utf-8")
    assert run_command(lambda: doctor(config, as_json=True)) is False
    found = {one["what"]: one["detail"] for one in json_lines(printed()) if not one["good"]}
    assert found[what] == f"{token}: {said}"


def in_another_currency(node: MarketNode) -> Address:
    """Return a feed that prices USDC in ETH."""
    live, accounts = node.live, node.market.accounts
    package = ensure("chainlink-feeds")
    sender = Sender.of(live.rpc, accounts.deployer)
    arguments = (ZERO_ADDRESS, 0, 1_800, ZERO_ADDRESS, 1, 10**30, 18, "USDC / ETH")
    behind = sender.deploy(aggregator_artifact(package), *arguments)
    sender.call(behind, "changeOracles", [], [sender.account], [sender.account], 1, 1, 0)
    proxy = load_artifact(package / "abi/v0.6/EACAggregatorProxy.json")
    front = sender.deploy(proxy, behind.address, ZERO_ADDRESS)
    sender.call(behind, "addAccess", front.address)
    sender.call(behind, "submit", 1, 10**18 // 3_000)
    sender.mine()
    return front.address


def test_doctor_finds_a_reference_price_that_is_none(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")
    path, usdc = tmp_path / "chain.yaml", market_copy.market.asset("USDC").token
    chain = yaml.safe_load(path.read_text("utf-8"))
    chain["price_feeds"][usdc] = feed = in_another_currency(market_copy)
    path.write_text(yaml.safe_dump(chain), "utf-8")

    def said() -> dict[str, str]:
        run_command(lambda: doctor(config, as_json=True))
        lines = json_lines(printed())
        return {one["what"]: one["detail"] for one in lines if not one["good"]}

    expected = "expected a feed in USD, as the native coin's is, found 'USDC / ETH'"
    assert said() == {f"price_feeds.{usdc}: price": f"{feed}: {expected}"}
    rpc = market_copy.live.rpc
    head = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rpc.call("evm_setNextBlockTimestamp", head + OLDEST_ANSWER_S)
    rpc.call("evm_mine")
    old = said()["native_feed: price"]
    assert "expected an answer of the last 90000 s, found one 90" in old
