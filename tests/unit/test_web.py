"""The daemon's endpoint: what it answers, in which colour, and who may halt."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from keeper.app.board import Board
from keeper.app.status import endpoint_of
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.telemetry.tallies import Tallies
from keeper.telemetry.web import MOST_CONNECTIONS, Endpoint, serving
from tests.support.eventually import eventually
from tests.support.ledger_records import block
from tests.support.settings_files import write_settings

HALT = "canary-token-of-sixteen"
KEY = "keeper.yaml: http.port"


class Daemon:
    def __init__(self):
        self.stalls, self.problems, self.halts = [], [], []
        self.failure = None
        self.page = {"chain": "local"}
        self.asked = self.at_once = self.most_at_once = 0

    def stalled(self):
        return self.stalls

    def unready(self):
        return [*self.stalls, *self.problems]

    def measure(self):
        """Nothing to bring up to date."""

    async def status(self):
        if self.failure is not None:
            raise self.failure
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return self.page

    def halt(self, why):
        self.halts.append(why)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def endpoint(port=0, token=HALT):
    return Endpoint(host="127.0.0.1", port=port, token=token, key=KEY)


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def port(daemon, registry):
    async with serving(endpoint(), daemon, registry) as port:
        yield port


@pytest.fixture
async def ask(port):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def asked(method, path, **options):
            async with session.request(method, path, **options) as answer:
                return answer.status, answer.headers, await answer.text()

        yield asked


async def test_health_is_green_without_problems_and_red_with_each_reason(ask, daemon):
    assert (await ask("GET", "/healthz"))[0] == 200
    assert (await ask("GET", "/readyz"))[0] == 200
    daemon.problems = ["sending is halted: drill", "a is paused: drift"]
    assert (await ask("GET", "/healthz"))[0] == 200
    status, _, body = await ask("GET", "/readyz")
    assert status == 503
    assert "sending is halted: drill" in body
    assert "a is paused: drift" in body
    daemon.stalls = ["a: no block was mirrored for 99 s"]
    status, _, body = await ask("GET", "/healthz")
    assert status == 503
    assert "no block was mirrored" in body


async def test_only_the_token_halts(ask, daemon):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": HALT}):
        assert (await ask("POST", "/halt", headers=headers))[0] == 401
    assert (await ask("GET", "/halt", headers={"Authorization": f"Bearer {HALT}"}))[0] == 405
    assert daemon.halts == []
    status, _, body = await ask("POST", "/halt", headers={"Authorization": f"Bearer {HALT}"})
    assert status == 200
    assert daemon.halts == ["kill switch: POST /halt from 127.0.0.1"]
    assert HALT not in body


PRIVATE = [("GET", "/"), ("GET", "/page.js"), ("GET", "/status.json"), ("POST", "/halt")]
FOREIGN = ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil", "["]


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_page_whose_name_resolves_to_us_reads_no_account_and_halts_nothing(
    ask, daemon, host
):
    headers = {"Host": host, "Authorization": f"Bearer {HALT}"}
    for method, path in PRIVATE:
        status, _, body = await ask(method, path, headers=headers)
        assert (status, "http.names" in body) == (421, True)
    assert (daemon.asked, daemon.halts) == (0, [])


async def test_by_any_name_it_tells_metrics_and_whether_all_is_well_but_not_what_is_wrong(
    ask, daemon
):
    headers = {"Host": "keeper:9464"}
    assert (await ask("GET", "/metrics", headers=headers))[0] == 200
    assert (await ask("GET", "/healthz", headers=headers))[0] == 200
    daemon.stalls, daemon.problems = ["a: no block"], ["a is paused: 0xabc drifted"]
    for path in ("/healthz", "/readyz"):
        status, _, body = await ask("GET", path, headers=headers)
        assert (status, json.loads(body)) == (503, {"ok": False, "problems": []})
        assert "a: no block" in (await ask("GET", path))[2]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:9464", "LOCALHOST.", "[::1]:9464", "10.0.0.7", "Keeper.Here:1"]
)
async def test_it_is_asked_by_addresses_and_by_names_that_are_its_own(daemon, registry, host):
    named = Endpoint(host="127.0.0.1", port=0, token=HALT, key=KEY, names=("keeper.here",))
    async with (
        serving(named, daemon, registry) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/status.json", headers={"Host": host}) as answer,
    ):
        assert answer.status == 200


async def test_without_a_configured_token_nobody_halts(daemon, registry):
    async with (
        serving(endpoint(token=None), daemon, registry) as port,
        aiohttp.ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{port}/halt", headers={"Authorization": "Bearer "}
        ) as answer,
    ):
        assert answer.status == 403
    assert daemon.halts == []


@pytest.mark.parametrize(
    ("error", "why", "said"),
    [
        (ConfigError("keeper.sqlite: found a song"), "keeper.sqlite: found a song", "a song"),
        (ZeroDivisionError("a key"), "ZeroDivisionError", "a fault of Keeper itself"),
    ],
)
async def test_an_answer_that_cannot_be_made_is_told_in_the_log(ask, daemon, error, why, said):
    daemon.failure = error
    with capture_logs() as lines:
        status, headers, body = await ask("GET", "/status.json")
    assert status == 500
    assert said in body
    assert "a key" not in body
    assert headers["Cache-Control"] == "no-store"
    (line,) = lines
    assert (line["event"], line["path"], line["why"]) == ("page.failed", "/status.json", why)
    assert (await ask("GET", "/healthz"))[0] == 200


async def test_a_token_that_is_no_text_is_refused_as_any_other_wrong_one(port, daemon):
    refusals = []
    for token in (b"\xff\xfe", HALT.encode()):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /halt HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token)
        writer.write(b"\r\nConnection: close\r\n\r\n")
        refusals.append((await reader.readline()).split()[1])
        writer.transport.abort()
    assert refusals == [b"401", b"200"]
    assert len(daemon.halts) == 1


async def test_what_is_no_request_is_no_error_of_ours(ask, port, caplog):
    for what in (b"\x16\x03\x01\x02\x00", b"song\r\n\r\n", b"GET / HTTP/1.1\r\nX: %s\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(what.replace(b"%s", b"x" * 2**16))
        assert b" 400 " in await reader.readline()
        writer.transport.abort()
    assert (await ask("GET", "/healthz"))[0] == 200
    assert caplog.records == []


async def test_an_answer_that_nobody_reads_does_not_hold_up_the_end(daemon, registry):
    daemon.page = {"chain": "x" * 2**24}
    began = asyncio.get_running_loop().time()
    async with serving(endpoint(), daemon, registry) as port:
        _, unread = await asyncio.open_connection("127.0.0.1", port, limit=1)
        unread.write(b"GET /status.json HTTP/1.1\r\nHost: [::1]:1\r\n\r\n")
        _, unfinished = await asyncio.open_connection("127.0.0.1", port)
        unfinished.write(b"POST /halt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
        await eventually(lambda: daemon.asked > 0)
    assert asyncio.get_running_loop().time() - began < 5
    for one in (unread, unfinished):
        one.transport.abort()


async def test_whoever_opens_connections_without_end_keeps_nobody_else_out(ask, daemon, port):
    before = descriptors()
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5 * MOST_CONNECTIONS)]
    assert (await ask("GET", "/healthz"))[0] == 200
    ours = len(idle) + 1
    assert descriptors() - before <= ours + MOST_CONNECTIONS + 1
    for _, writer in idle:
        writer.transport.abort()


async def test_pages_are_made_one_after_the_other(ask, daemon):
    await asyncio.gather(*(ask("GET", "/status.json") for _ in range(8)))
    assert (daemon.asked, daemon.most_at_once) == (8, 1)


async def test_there_is_no_way_to_rearm(ask):
    for path in ("/rearm", "/resume", "/arm"):
        assert (await ask("POST", path, headers={"Authorization": f"Bearer {HALT}"}))[0] == 404


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/status.json", "/nowhere"])
async def test_every_answer_forbids_foreign_scripts_and_keeping(ask, path):
    _, headers, _ = await ask("GET", path)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


async def test_metrics_are_what_was_heard(ask, registry):
    board = Board(Tallies(registry), now=lambda: 0.0)
    board.mirrored("aave_v3.local", block(7), 7)
    board.scanned("aave_v3.local", block(7), 3, "")
    board.skipped("aave_v3.local", "why")
    board.paused("aave_v3.local", "drift")
    _, headers, body = await ask("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    assert 'keeper_accounts{deployment="aave_v3.local"} 7.0' in body
    assert 'keeper_accounts_liquidatable{deployment="aave_v3.local"} 3.0' in body
    assert 'keeper_blocks_skipped_total{deployment="aave_v3.local"} 1.0' in body
    assert 'keeper_paused{deployment="aave_v3.local"} 1.0' in body


async def test_of_loans_that_are_not_read_any_more_no_figure_is_shown(ask, registry):
    board = Board(Tallies(registry), now=lambda: 0.0)
    board.mirrored("a", block(7), 7)
    board.scanned("a", block(7), 3, "")
    for _ in range(2):
        board.paused("a", "a fault")
        board.lost("a")
    _, _, body = await ask("GET", "/metrics")
    assert 'keeper_accounts{deployment="a"}' not in body
    assert 'keeper_accounts_liquidatable{deployment="a"}' not in body
    assert 'keeper_block_number{deployment="a"} 7.0' in body
    assert (board.of("a").accounts, board.of("a").under) == (None, None)


async def test_a_port_in_use_is_refused_with_its_key(daemon, registry):
    async with serving(endpoint(), daemon, registry) as port:
        with pytest.raises(ConfigError) as refused:
            async with serving(endpoint(port), daemon, registry):
                pass
    said = f"expected an address to listen on, found 127.0.0.1:{port}: Address already in use"
    assert str(refused.value).endswith(f"http.port: {said}")


def test_a_deployment_that_sees_no_block_for_long_stands_still_unless_it_is_paused():
    time = [0.0]
    board = Board(Tallies(CollectorRegistry()), now=lambda: time[0])
    board.mirrored("a", block(7), 1)
    time[0] = 60.0
    assert board.problems(60.0) == {}
    time[0] = 61.0
    board.skipped("a", "the node is silent")
    assert board.problems(60.0) == {"a": "no block was mirrored for 61 s: the node is silent"}
    board.paused("a", "drift")
    assert board.problems(60.0) == {}
    board.resumed("a")
    assert board.problems(60.0) == {}


def test_the_endpoint_is_off_by_default_and_on_loopback(tmp_path, monkeypatch):
    assert endpoint_of(load(write_settings(tmp_path))) is None
    path = write_settings(tmp_path, http={"port": 9464})
    assert endpoint_of(load(path)).host == "127.0.0.1"
    monkeypatch.setenv("KEEPER_HTTP__NAMES", "keeper keeper.here")
    assert endpoint_of(load(path)).names == ("keeper", "keeper.here")
    monkeypatch.setenv("KEEPER_HALT_TOKEN", "canary")
    with pytest.raises(ConfigError) as found:
        endpoint_of(load(path))
    assert "KEEPER_HALT_TOKEN: expected at least 16 characters, found 6" in str(found.value)


@pytest.mark.parametrize("port", [0, 65_536, "http"])
def test_a_port_that_is_none_is_refused(tmp_path, port):
    with pytest.raises(ConfigError, match=r"http\.port: expected a TCP port from 1 to 65535"):
        load(write_settings(tmp_path, http={"port": port}))


@pytest.mark.parametrize("name", ["https://keeper.here", "keeper.here:9464"])
def test_a_name_to_be_asked_by_is_a_name_alone(tmp_path, name):
    with pytest.raises(ConfigError, match=r"http\.names\.0: expected a host name without scheme"):
        load(write_settings(tmp_path, http={"names": [name]}))
