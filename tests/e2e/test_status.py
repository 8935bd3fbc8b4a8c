"""The status endpoint of a real keeper: it shows what happens, goes red, and halts."""

import json
import re
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keeper.core.tick import STAGES
from tests.support.deploy_kit import ADDED_BY_PROMETHEUS, expressions, series
from tests.support.keeper_process import ARMED, KeeperProcess, running_keeper, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, FALLEN, TELLING, SendingStage, ready_shots
from tests.support.sending_stage import stage as staged

BOTH_DIPPED = 9_500
"""Prices in basis points at which somebody crosses by either feed."""
HALT = "canary-token-of-sixteen"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Page:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, *, token: str | None = None) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("POST" if token else "GET", path, headers=headers)
        with closing(connection), connection.getresponse() as answer:
            return answer.status, answer.read().decode()

    def status(self):
        return json.loads(self.ask("/status.json")[1])


SAMPLE = re.compile(r'keeper_tick_stage_seconds_count{rung="(\w+)",stage="(\w+)"} [1-9]')
AT_ONCE = {"decode", "look_up", "judge", "send"}
STAGES_OF = {
    "prearmed": AT_ONCE,
    "prepared": AT_ONCE | {"sign", "journal"},
    "planned": set(STAGES),
}
OF_AN_EVENT = {"decode"}
"""What is not timed where a head is read before its price's event is answered, as under load."""


def stages(metrics: str) -> dict[str, set[str]]:
    """Return the stages that were timed, by rung."""
    found: dict[str, set[str]] = {}
    for rung, stage in SAMPLE.findall(metrics):
        found.setdefault(rung, set()).add(stage)
    return found


def rungs(page: Page) -> set[str]:
    return set(stages(page.ask("/metrics")[1]))


def sample(metrics: str, name: str) -> float:
    (found,) = [line for line in metrics.splitlines() if line.startswith(name)]
    return float(found.split()[-1])


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def is_over(stage: SendingStage, keeper: KeeperProcess, page: Page) -> bool:
    """Settle; tell whether nothing else was sent at the last block, and all is on the page."""
    stage.settle(keeper)
    ended, status = len(keeper.events("liquidation.settled")), page.status()
    return status["in_flight"] == [] and len(status["outcomes"]) >= ended


def test_the_endpoint_shows_what_happens_goes_red_and_halts(stage):
    port = free_port()
    environment = {**ARMED, "KEEPER_HTTP__PORT": str(port), "KEEPER_HALT_TOKEN": HALT}
    with running_keeper(stage.config, "--arm", environment=environment) as keeper:
        page = Page(port)
        until(lambda: page.ask("/readyz")[0] == 200)
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        until(lambda: page.status()["in_flight"] != [])
        until(lambda: is_over(stage, keeper, page))

        status = page.status()
        books = stage.books()
        assert status["armed"] is True
        assert status["in_flight"] == []
        assert status["books"]["all"]["net"] == str(books.total.realised.net)
        assert status["books"]["all"]["counts"] == {"landed": len(books.entries)}
        settled = [(one.account, str(one.realised.net)) for one in books.entries]
        assert sorted((one["account"], one["net"]) for one in status["outcomes"]) == sorted(settled)
        (deployment,) = status["deployments"]
        assert deployment["accounts"] > 0
        factors = [int(one["health_factor"]) for one in deployment["closest"]]
        assert factors == sorted(factors) != []
        _, metrics = page.ask("/metrics")
        assert f'keeper_settled_total{{status="landed"}} {len(books.entries)}.0' in metrics
        assert "keeper_halted 0.0" in metrics
        assert f'keeper_operator_balance_ether{{operator="{stage.operator}"}}' in metrics

        assert page.ask("/halt", token=HALT[1:])[0] == 401
        assert not keeper.events("sending.halted")
        assert page.ask("/halt", token=HALT)[0] == 200
        until(lambda: bool(keeper.events("sending.halted")))
        assert keeper.events("sending.halted")[0]["why"].startswith("kill switch: POST /halt")
        code, body = page.ask("/readyz")
        assert code == 503
        assert "sending is halted: kill switch" in body
        assert page.ask("/healthz")[0] == 200
        assert "keeper_halted 1.0" in page.ask("/metrics")[1]
        everything = "\n".join([*keeper.lines, body, metrics, json.dumps(page.status())])
        assert HALT not in everything
        assert ARMED["KEEPER_PRIVATE_KEY"].removeprefix("0x") not in everything
        signed = [raw.hex() for (raw,) in stage.sql("SELECT raw FROM submissions")]
        assert [raw for raw in signed if raw in everything] == []
        assert signed != []


def families(metrics: str) -> set[str]:
    return {one.name for one in text_string_to_metric_families(metrics)}


def test_a_running_keeper_has_every_series_that_the_kit_draws_or_rules_on(stage):
    port = free_port()
    with running_keeper(
        stage.config, "--arm", environment={**ARMED, "KEEPER_HTTP__PORT": str(port)}
    ):
        known = families(Page(port).ask("/metrics")[1])
    asked = {name for one in expressions() for name in series(one)} - set(ADDED_BY_PROMETHEUS)
    suffixes = re.compile(r"_(created|bucket|sum|count|total)$")
    assert len(asked) > 20
    assert {suffixes.sub("", one) for one in asked} - known == set()


def test_every_rung_of_a_running_keeper_is_timed_whole_and_by_its_stages(stage):
    """One block moves two feeds: who crosses by the second is signed for anew, being next."""
    stage.configure(prearm_accounts=4)
    stage.limit(slippage_bps=500)
    port = free_port()
    environment = {**ARMED, **TELLING, "KEEPER_HTTP__PORT": str(port)}
    with running_keeper(stage.config, "--arm", environment=environment) as keeper:
        page = Page(port)
        until(lambda: page.ask("/readyz")[0] == 200)
        until(lambda: ready_shots("".join(keeper.lines)) > 1)
        stage.push(BOTH_DIPPED)
        until(lambda: rungs(page) >= {"prearmed", "prepared"})
        stage.settle(keeper)
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: rungs(page) == {"prearmed", "prepared", "planned"})
        metrics = page.ask("/metrics")[1]  # once: the next look may end between two answers
        for rung, counts in stages(metrics).items():
            unneeded = OF_AN_EVENT if rung == "planned" else set()
            assert set(counts) | unneeded == STAGES_OF[rung]
            whole = sample(metrics, f'keeper_tick_to_send_seconds_sum{{rung="{rung}"}}')
            parts = [f'{{rung="{rung}",stage="{one}"}}' for one in counts]
            spent = sum(sample(metrics, f"keeper_tick_stage_seconds_sum{one}") for one in parts)
            assert spent == pytest.approx(whole, rel=1e-6)
        stage.settle(keeper)


def test_a_single_node_that_is_gone_is_named_with_what_was_found(stage):
    """At once under the nodes; and once no block came for too long, as the reason for that."""
    chain = stage.config.parent / "chain.yaml"
    chain.write_text(chain.read_text("utf-8").replace("max_head_age_s: 60", "max_head_age_s: 2"))
    port, url = free_port(), stage.node.anvil.ws_url
    with running_keeper(stage.config, environment={"KEEPER_HTTP__PORT": str(port)}) as keeper:
        page = Page(port)
        until(lambda: page.ask("/readyz")[0] == 200)
        (node,) = page.status()["nodes"]
        assert node == {"name": url, "is_active": True, "block": node["block"], "trouble": ""}
        assert f'keeper_node_usable{{node="{url}"}} 1.0' in page.ask("/metrics")[1]
        stage.node.anvil.process.kill()
        until(lambda: page.status()["nodes"][0]["trouble"] != "", lambda: keeper.lines[-1])
        found = "expected to connect, found Connection refused"
        until(lambda: page.status()["nodes"][0]["trouble"] == found)
        until(lambda: found in page.ask("/healthz")[1])
        assert re.search(
            rf"no block was mirrored for \d+ s; {url}: {found}", page.ask("/healthz")[1]
        )
        assert f'keeper_node_usable{{node="{url}"}} 0.0' in page.ask("/metrics")[1]
