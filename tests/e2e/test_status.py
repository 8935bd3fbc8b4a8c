"""The status endpoint of a real keeper: it shows what happens, goes red, and halts."""

import json
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.keeper_process import ARMED, running_keeper, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, FALLEN, SendingStage
from tests.support.sending_stage import stage as staged

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


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def test_the_endpoint_shows_what_happens_goes_red_and_halts(stage):
    port = free_port()
    environment = {**ARMED, "KEEPER_HTTP__PORT": str(port), "KEEPER_HALT_TOKEN": HALT}
    with running_keeper(stage.config, "--arm", environment=environment) as keeper:
        page = Page(port)
        until(lambda: page.ask("/readyz")[0] == 200)
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        until(lambda: page.status()["in_flight"] != [])
        stage.settle(keeper)
        landed = len(keeper.events("liquidation.settled"))
        until(lambda: len(page.status()["outcomes"]) >= landed)

        status = page.status()
        books = stage.books()
        assert status["armed"] is True
        assert status["in_flight"] == []
        assert status["books"]["all"]["net"] == str(books.total.realised.net)
        assert status["books"]["all"]["counts"] == {"landed": len(books.entries)}
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
