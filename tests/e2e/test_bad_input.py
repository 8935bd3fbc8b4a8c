"""What bad input gets: one line with file, key, expected and found; an exit code; nothing lost."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from keeper.app.opening import opened_chain
from keeper.chain import session
from keeper.chain.rpc import RetryPolicy
from keeper.commands.doctor import doctor
from keeper.commands.run import run
from keeper.commands.running import MISCONFIGURED, CommandFailed, run_command
from keeper.commands.scan import Wanted, scan
from keeper.config.settings import load
from keeper.core.units import Hash32
from keeper.ledger.books import read_books
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity
from keeper.runtime.clock import SystemClock
from tests.support.bad_nodes import closed_port, html_node, silent_node
from tests.support.keeper_process import NOBODY, configured, with_executor
from tests.support.ledger_records import plan
from tests.support.market_node import MarketNode

EVERYBODY = Wanted(below=None, block=None, most=None)
REVERT = "0x5f5ffd"

Work = Callable[[], Coroutine[None, None, Any]]


def change(config: Path, file: str, key: str, value: str) -> Path:
    """Give a key of one of the configuration's files another value; return that file."""
    path = config.parent / file
    text, count = re.subn(rf"(?m)^(\s*(?:- )?{key}:).*$", rf"\1 {value}", path.read_text("utf-8"))
    assert count == 1, f"{key} is in {path} {count} times"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[[Work], str]:
    """Run a command that must refuse; return its only line on stderr."""

    def refused(work: Work) -> str:
        with pytest.raises(CommandFailed) as failed:
            run_command(work)
        assert failed.value.code == MISCONFIGURED
        lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        assert len(lines) == 1, lines
        return lines[0]

    return refused


@pytest.fixture
def config(local_market: MarketNode, tmp_path: Path) -> Path:
    return configured(tmp_path, local_market, mode="observe", rpc=local_market.anvil.http_url)


@pytest.fixture(params=["scan", "run", "doctor"])
def command(request: pytest.FixtureRequest) -> Callable[[Path], Work]:
    commands: dict[str, Callable[[Path], Work]] = {
        "scan": lambda config: lambda: scan(config, EVERYBODY, as_json=False),
        "run": lambda config: lambda: run(config, arm=False),
        "doctor": lambda config: lambda: doctor(config, as_json=False),
    }
    return commands[request.param]


def test_a_node_of_another_chain(config, command, complaint, local_market):
    path = change(config, "chain.yaml", "chain_id", "1")
    expected = f"error: chain id: expected 1 ({path}: chain_id), found 31337"
    assert complaint(command(config)) == f"{expected} at {local_market.anvil.http_url}"


def test_a_bad_checksum(config, command, complaint):
    wrong = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756CC2"
    path = change(config, "keeper.yaml", "recipient", f"'{wrong}'")
    assert complaint(command(config)) == (
        f"error: {path}:7: recipient: bad checksum: "
        f"expected 0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2, found '{wrong}'"
    )


@pytest.mark.parametrize(
    ("file", "key", "said"),
    [
        ("chain.yaml", "multicall3", "multicall3"),
        ("chain.yaml", "pool", "flash_sources.0.pool"),
        ("chain.yaml", "factory", "venues.0.factory"),
        ("chain.yaml", "wrapped_native", "wrapped_native"),
        ("aave_v3.local.yaml", "addresses_provider", "parameters.addresses_provider"),
    ],
)
def test_an_address_without_code(config, complaint, file, key, said):
    path = change(config, file, key, f"'{NOBODY}'")
    expected = f"error: {path}: {said}: expected a contract at {NOBODY}, found no code"
    assert complaint(lambda: scan(config, EVERYBODY, as_json=False)) == expected
    assert complaint(lambda: run(config, arm=False)) == expected


def test_every_address_without_code_is_told_by_a_doctor(config, capsys):
    change(config, "chain.yaml", "factory", f"'{NOBODY}'")
    change(config, "chain.yaml", "pool", f"'{NOBODY}'")
    assert run_command(lambda: doctor(config, as_json=False)) is False
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert bad == [
        f"BAD flash_sources.0.pool: {NOBODY}: expected a contract, found no code",
        f"BAD venues.0.factory: {NOBODY}: expected a contract, found no code",
    ]


@pytest.mark.parametrize(
    ("where", "found"), [(NOBODY, "no code"), ("multicall3", "bytes of other code")]
)
def test_an_executor_that_is_not_ours(config, complaint, local_market, where, found):
    address = local_market.market.multicall3 if where == "multicall3" else where
    path = change(config, "keeper.yaml", "executor", f"'{address}'")
    line = complaint(lambda: run(config, arm=False))
    assert line.startswith(f"error: {path}: executor {address}: expected the code of Liquidator")
    assert line.endswith(found)


def test_an_executor_that_pays_somebody_else(market_copy, tmp_path, complaint):
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    path = change(config, "keeper.yaml", "recipient", f"'{NOBODY}'")
    recipient = market_copy.market.accounts.recipient
    assert complaint(lambda: run(config, arm=False)) == (
        f"error: {path}: recipient: expected the executor's, {recipient}, found {NOBODY}"
    )


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_node_that_is_down(config, command, complaint, monkeypatch, scheme):
    monkeypatch.setattr(session, "_START_BUDGET_S", 0.2)
    url = f"{scheme}://127.0.0.1:{closed_port()}"
    path = config.parent / "chain.yaml"
    path.write_text(re.sub(r"- http://\S+", f"- {url}", path.read_text("utf-8")), "utf-8")
    expected = f"error: {path}: rpc: {url}: expected to connect, found Connection refused"
    assert complaint(command(config)) == expected


def test_a_node_that_answers_html(local_market, tmp_path, command, complaint, monkeypatch):
    monkeypatch.setattr(session, "_START_BUDGET_S", 0.2)
    with html_node() as url:
        config = configured(tmp_path, local_market, mode="observe", rpc=url)
        assert complaint(command(config)) == (
            f"error: {tmp_path}/chain.yaml: rpc: {url}: expected a JSON-RPC reply, found HTML"
        )


def test_a_node_that_does_not_answer(local_market, tmp_path, complaint, monkeypatch):
    monkeypatch.setattr(session, "_START_BUDGET_S", 0.2)

    async def patiently(config: Path) -> None:
        async with opened_chain(load(config), retry=RetryPolicy(timeout_s=0.2)):
            pass

    with silent_node() as url:
        config = configured(tmp_path, local_market, mode="observe", rpc=url)
        line = complaint(lambda: patiently(config))
    assert line.startswith(f"error: {tmp_path}/chain.yaml: rpc: {url}: expected a reply within ")
    assert line.endswith("found none")


def test_a_feed_that_reverts_hides_who_needs_it_and_nobody_else(market_copy, tmp_path, capsys):
    feed = market_copy.market.asset("WBTC").feed
    market_copy.live.rpc.call("anvil_setCode", feed, REVERT)
    config = configured(tmp_path, market_copy, mode="observe")
    run_command(lambda: scan(config, EVERYBODY, as_json=True))
    said = capsys.readouterr()
    shown = said.out.splitlines()
    assert shown
    assert not [line for line in shown if "WBTC" in line]
    assert run_command(lambda: scan(config, EVERYBODY, as_json=False)) is None
    hidden = [line for line in capsys.readouterr().err.splitlines() if "price_unusable" in line]
    assert len(shown) + len(hidden) >= len(market_copy.market.borrowers)
    assert hidden
    assert run_command(lambda: doctor(config, as_json=False)) is False
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    reference = f"BAD price_feeds.{market_copy.market.asset('WBTC').token}: price"
    assert bad == [
        f"{reference}: {feed}: expected a Chainlink feed with an answer, found none",
        "BAD aave_v3.local: feed WBTC: WBTC: expected a price, found a revert",
    ]


def test_a_pool_of_an_unknown_revision(market_copy, tmp_path, complaint):
    as_revision(market_copy, 99)
    config = configured(tmp_path, market_copy, mode="observe", rpc=market_copy.anvil.http_url)
    line = complaint(lambda: scan(config, EVERYBODY, as_json=False))
    assert line.startswith("error: aave_v3.local: ")
    assert re.search(r"POOL_REVISION of 0x\w{40}: expected .+, found 99$", line)


def as_revision(node: MarketNode, revision: int) -> None:
    """Put a shim before the pool that answers ``POOL_REVISION`` and passes all else on."""
    rpc, pool = node.live.rpc, node.market.pool
    slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    implementation = rpc.call("eth_getStorageAt", pool, slot, "latest")[-40:]
    pass_on = "365f5f375f5f365f73" + implementation + "5af43d5f5f3e"
    head = "5f3560e01c63" + "0148170e" + "14" + "60{answer:02x}57"
    after = "60{done:02x}573d5ffd" + "5b3d5ff3"
    body = len(bytes.fromhex((head + pass_on).format(answer=0)))
    done = body + 6
    answer = done + 4
    code = (head + pass_on + after).format(answer=answer, done=done)
    code += f"5b60{revision:02x}5f5260205ff3"
    rpc.call("anvil_setCode", pool, "0x" + code)


def test_armed_without_a_key(market_copy, tmp_path):
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    done = subprocess.run(
        [sys.executable, "-m", "keeper", "run", "-c", str(config), "--arm"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={"KEEPER_CONFIRM_LIVE_CHAIN_ID": "31337", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == MISCONFIGURED
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line == ("error: expected a key in operator.keystore or KEEPER_PRIVATE_KEY, found none")


@pytest.mark.parametrize("difference", ["chain id", "genesis"])
def test_a_database_of_another_chain_is_refused_and_left_alone(
    config, complaint, local_market, difference
):
    genesis = Hash32(local_market.live.rpc.call("eth_getBlockByNumber", "0x0", False)["hash"])
    other = Hash32("0x" + "9e" * 32)
    identity = (
        ChainIdentity(chain_id=1, genesis_hash=genesis)
        if difference == "chain id"
        else ChainIdentity(chain_id=31337, genesis_hash=other)
    )
    database = config.parent / "keeper.sqlite"

    async def make() -> None:
        journal = await SqliteJournal.open(database, identity, clock=SystemClock())
        await journal.close()

    asyncio.run(make())
    before = database.read_bytes()
    line = complaint(lambda: run(config, arm=False))
    expected = {
        "chain id": "expected a database of chain id 31337, found 1",
        "genesis": f"expected genesis block {genesis}, found {other}",
    }
    assert line == f"error: {database}: {expected[difference]}"
    assert database.read_bytes() == before


def test_open_intents_of_a_deployment_that_is_gone_keep_it_from_starting(
    config, complaint, local_market
):
    genesis = Hash32(local_market.live.rpc.call("eth_getBlockByNumber", "0x0", False)["hash"])
    identity = ChainIdentity(chain_id=31337, genesis_hash=genesis)
    database = config.parent / "keeper.sqlite"
    gone = plan(deployment="aave_v3.gone")

    async def leave_open() -> None:
        journal = await SqliteJournal.open(database, identity, clock=SystemClock())
        await journal.intend(gone)
        await journal.close()

    asyncio.run(leave_open())
    assert complaint(lambda: run(config, arm=False)) == (
        f"error: {config}: protocols: expected aave_v3.gone, of which {database} has open "
        "intents, found aave_v3.local"
    )
    assert read_books(database).open_intents == 1
