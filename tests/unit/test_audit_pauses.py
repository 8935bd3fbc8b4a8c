"""The pause of a market: a file that outlives us, and what it bars."""

# ruff: noqa: ARG002 - the port's arguments

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keeper.app.parity import HeadLimits, Parity
from keeper.commands.resume import resume
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, DriftError, TransientError
from keeper.core.lending import AccountRef, Reason
from keeper.core.parity import Sides
from keeper.core.values import replace
from keeper.mirror.audit import AccountsDriftedError, Ground, ParityAudit
from keeper.mirror.pauses import EVERY_MARKET, Evidence, Pauses
from keeper.mirror.snapshot import Snapshot
from tests.support.heard import Heard
from tests.support.lending_desk import BLOCK, named
from tests.support.settings_files import write_settings
from tests.unit.test_config_settings import SHIPPED

ALICE = AccountRef(market="one", account=named("a1"))
BOB = AccountRef(market="two", account=named("b2"))
NAME = "aave_v3.local"
NAME_SHIPPED = "aave_v3.ethereum"


def sides(mirror: int, chain: int) -> Sides:
    return Sides(mirror={"debt": mirror, "health": 1}, chain={"debt": chain, "health": 1})


def evidence(*refs: AccountRef) -> Evidence:
    return Evidence(
        why="because",
        markets=frozenset(ref.market for ref in refs),
        block=BLOCK,
        drifted={ref: sides(5, 6) for ref in refs},
    )


@dataclass(slots=True)
class Protocol:
    """Accounts whose debt on chain is a number, and in the mirror another."""

    chain: dict[AccountRef, int]
    asked: list[list[AccountRef]] = field(default_factory=list)
    silent: bool = False

    def at(self, market: int, **_: object) -> int:
        return market

    def feeds(self, _: int) -> tuple[()]:
        return ()

    async def audit(
        self, reader: object, block: BlockRef, view: int, positions: Mapping[AccountRef, int]
    ) -> Mapping[AccountRef, Sides]:
        if self.silent:
            raise TransientError("no answer")
        self.asked.append(list(positions))
        return {ref: sides(one, self.chain[ref]) for ref, one in positions.items()}

    async def read_positions(
        self, reader: object, block: BlockRef, market: int, refs: list[AccountRef]
    ) -> dict[AccountRef, int]:
        return {ref: self.chain[ref] for ref in refs}

    def has_debt(self, market: int, position: int) -> bool:
        return position > 0


def ground(positions: Mapping[AccountRef, int], number: int = 100) -> Ground[Any, Any]:
    block = replace(BLOCK, number=number, hash=f"0x{number:064x}")
    return Ground(snapshot=Snapshot(block=block, market=0, positions=positions), prices={})


def parity(
    folder: Path, protocol: Protocol, heard: Heard, *, every: int = 1, now: float = 0
) -> Parity[Any, Any]:
    limits = HeadLimits(most_age_s=60, most_lead_s=30)
    return Parity(
        ParityAudit(protocol, None, sample=2),  # type: ignore[arg-type]
        Pauses(folder / "keeper.sqlite", NAME),
        heard,
        every_blocks=every,
        heads=limits if now else None,
        now=lambda: now,
    )


def test_a_pause_that_cannot_be_lifted_stands_and_is_said(tmp_path: Path) -> None:
    pauses = Pauses(tmp_path / "keeper.sqlite", NAME)
    pauses.add(evidence(ALICE), now=7)
    (tmp_path / f"keeper.sqlite.{NAME}.paused-resumed-9.json").mkdir()
    with pytest.raises(ConfigError, match="expected a file that can be renamed, found: Is a dir"):
        pauses.resume(now=9)
    assert pauses.is_paused()


def test_a_pause_is_not_lifted_where_nobody_can_tell_whether_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", os.path.exists)  # as from Python 3.14 on
    with pytest.raises(OSError, match="too long"):
        Pauses(tmp_path / ("x" * 300), NAME).is_paused()


def test_without_a_file_nothing_is_paused(tmp_path: Path) -> None:
    pauses = Pauses(tmp_path / "keeper.sqlite", NAME)
    assert (pauses.load(), pauses.is_paused(), pauses.resume(now=1)) == ({}, False, None)


def test_a_pause_is_read_back_with_both_sides_beside_it(tmp_path: Path) -> None:
    pauses = Pauses(tmp_path / "keeper.sqlite", NAME)
    pauses.add(evidence(ALICE), now=7)
    assert Pauses(tmp_path / "keeper.sqlite", NAME).load() == {"one": "because"}
    content = json.loads(pauses.path.read_text("utf-8"))
    (account,) = content["evidence"][0]["accounts"]
    assert account["mirror"] == {"debt": "5", "health": "1"}
    assert account["chain"] == {"debt": "6", "health": "1"}
    assert content["evidence"][0]["block_hash"] == BLOCK.hash


def test_a_second_pause_keeps_the_first_and_its_evidence(tmp_path: Path) -> None:
    pauses = Pauses(tmp_path / "keeper.sqlite", NAME)
    pauses.add(evidence(ALICE), now=7)
    pauses.add(evidence(BOB), now=8)
    assert pauses.load() == {"one": "because", "two": "because"}
    assert [one["time"] for one in json.loads(pauses.path.read_text())["evidence"]] == [7, 8]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"markets": 3}', '{"markets": {}}'])
def test_a_file_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    pauses = Pauses(tmp_path / "keeper.sqlite", NAME)
    pauses.path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"paused\.json: expected the evidence"):
        pauses.load()


def test_a_pause_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a file that can be written"):
        Pauses(tmp_path / "nowhere" / "keeper.sqlite", NAME).add(evidence(ALICE), now=1)


async def test_drift_bars_its_market_alone_and_is_told_once(tmp_path: Path) -> None:
    heard, protocol = Heard(), Protocol(chain={ALICE: 6, BOB: 9})
    watched = parity(tmp_path, protocol, heard)
    for number in (100, 101):
        await watched.look(NAME, ground({ALICE: 5, BOB: 9}, number), [ALICE, BOB])
    rejection = watched.bar(ALICE, BLOCK)
    assert rejection is not None
    assert rejection.reason is Reason.MARKET_PAUSED
    assert "debt 5 in the mirror, 6 on chain" in rejection.detail
    assert f"keeper resume {NAME}" in rejection.detail
    assert watched.bar(BOB, BLOCK) is None
    assert len(heard.pauses) == 1


async def test_a_pause_outlives_the_process_until_its_file_is_gone(tmp_path: Path) -> None:
    protocol = Protocol(chain={ALICE: 6})
    await parity(tmp_path, protocol, Heard()).look(NAME, ground({ALICE: 5}), [ALICE])
    heard = Heard()
    again = parity(tmp_path, protocol, heard)
    again.start(NAME)
    assert again.bar(ALICE, BLOCK) is not None
    assert len(heard.pauses) == 1
    assert not again.is_lifted
    Pauses(tmp_path / "keeper.sqlite", NAME).resume(now=1)
    assert again.is_lifted
    assert again.bar(ALICE, BLOCK) is not None
    again.resume(NAME)
    assert heard.resumptions == [NAME]
    assert again.bar(ALICE, BLOCK) is None
    assert not again.is_lifted


def test_drift_of_no_account_bars_every_market(tmp_path: Path) -> None:
    watched = parity(tmp_path, Protocol(chain={}), Heard())
    watched.pause(NAME, DriftError("expected an answer, found none"), BLOCK)
    assert watched.bar(ALICE, BLOCK) is not None
    assert watched.bar(BOB, BLOCK) is not None
    assert list(Pauses(tmp_path / "keeper.sqlite", NAME).load()) == [EVERY_MARKET]


async def test_a_sample_is_taken_when_it_is_due_and_everybody_has_a_turn(tmp_path: Path) -> None:
    refs = [AccountRef(market="one", account=named(f"{n:02x}")) for n in range(1, 6)]
    protocol = Protocol(chain=dict.fromkeys(refs, 1))
    watched = parity(tmp_path, protocol, Heard(), every=5)
    for number in range(100, 111):
        await watched.look(NAME, ground(dict.fromkeys(refs, 1), number), refs)
    assert [len(one) for one in protocol.asked] == [2, 2, 1]
    assert sorted(ref for one in protocol.asked for ref in one) == refs


async def test_accounts_that_could_not_be_asked_for_have_their_turn_again(tmp_path: Path) -> None:
    protocol = Protocol(chain={ALICE: 1, BOB: 1}, silent=True)
    watched = parity(tmp_path, protocol, Heard(), every=5)
    with pytest.raises(TransientError):
        await watched.look(NAME, ground({ALICE: 1, BOB: 1}), [ALICE, BOB])
    protocol.silent = False
    await watched.look(NAME, ground({ALICE: 1, BOB: 1}, 101), [ALICE, BOB])
    assert [sorted(one) for one in protocol.asked] == [[ALICE, BOB]]


async def test_an_account_that_owes_without_our_knowing_is_drift(tmp_path: Path) -> None:
    audit: ParityAudit[Any, Any] = ParityAudit(
        Protocol(chain={ALICE: 3, BOB: 0}),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        sample=2,
    )
    with pytest.raises(AccountsDriftedError) as found:
        await audit.check_sample(ground({}), [ALICE, BOB])
    assert list(found.value.drifted) == [ALICE]


def test_a_head_that_is_not_of_our_time_bars_everybody(tmp_path: Path) -> None:
    def found(now: float) -> Reason | None:
        rejection = parity(tmp_path, Protocol(chain={}), Heard(), now=now).bar(ALICE, BLOCK)
        return rejection.reason if rejection else None

    assert found(BLOCK.timestamp + 60) is None
    assert found(BLOCK.timestamp - 30) is None
    assert found(BLOCK.timestamp + 61) is Reason.HEAD_UNUSABLE
    assert found(BLOCK.timestamp - 31) is Reason.HEAD_UNUSABLE


def test_resume_shows_what_is_paused_and_lifts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("keeper.yaml", "chains/ethereum.yaml", "protocols/aave_v3.ethereum.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = (SHIPPED / name).read_text("utf-8").replace("../data/", "")
        (tmp_path / name).write_text(text, "utf-8")
    config, name = tmp_path / "keeper.yaml", "aave_v3.ethereum"
    pauses = Pauses(tmp_path / "keeper.ethereum.sqlite", name)
    pauses.add(evidence(ALICE), now=7)
    resume(config, None, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "deployment": name,
        "market": "one",
        "why": "because",
        "chain": "ethereum",
    }
    with pytest.raises(ConfigError, match=r"expected one of aave_v3\.ethereum, found 'aave'"):
        resume(config, "aave", as_json=True)
    assert pauses.is_paused()
    resume(config, name, as_json=True)
    assert json.loads(capsys.readouterr().out)["resumed"] is True
    assert not pauses.is_paused()
    resume(config, name, as_json=True)
    again = json.loads(capsys.readouterr().out)
    assert (again["resumed"], again["evidence"]) == (False, None)


def test_resume_says_what_comes_next_and_what_it_is_not_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, name = write_settings(tmp_path, database=str(tmp_path / "keeper.sqlite")), NAME_SHIPPED
    pauses = Pauses(tmp_path / "keeper.sqlite", name)
    pauses.add(evidence(ALICE), now=7)
    resume(config, name, as_json=False)
    assert capsys.readouterr().err.endswith(
        "; a running keeper reads its loans anew with the next head and goes on\n"
    )
    resume(config, name, as_json=False)
    assert capsys.readouterr().err == (
        f"{name}: nothing is paused by drift; a pause by a fault or by the configuration is not "
        "lifted here: the log says under market.paused what ends it\n"
    )
