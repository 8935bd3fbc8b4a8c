"""The rules and the dashboard of ``deploy`` name only what a keeper exposes, and all of that."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from keeper.core.lending import Reason
from keeper.core.plan import Status
from keeper.core.taken import Cause
from keeper.core.tick import STAGES, Rung, Tick
from keeper.core.units import Address
from keeper.telemetry.metrics import Stopwatch, lost_lines
from keeper.telemetry.tallies import Tallies
from tests.support.deploy_kit import (
    ADDED_BY_PROMETHEUS,
    DASHBOARD,
    GROUPING,
    KIT,
    ROOT,
    RULES,
    expressions,
    series,
)
from tests.support.ledger_records import ended, plan, taken

VALUES = {
    "cause": {one.value for one in Cause},
    "reason": {one.value for one in Reason},
    "status": {one.value for one in Status},
    "rung": {one.value for one in Rung},
    "stage": set(STAGES),
}
SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Every series that a keeper which did everything exposes, with its labels."""
    registry = CollectorRegistry()
    tallies, tick = Tallies(registry), Tick()
    tallies.mirrored("a", 7, 7)
    tallies.under("a", 1)
    tallies.paused("a", is_paused=True)
    for count in (tallies.skipped, tallies.foreseen, tallies.shown):
        count("a")
    tallies.balances({Address("0xa"): 1}, least=1)
    tallies.node("wss://a", is_usable=True, is_active=True, block=7)
    tallies.sent("a", "mempool")
    tallies.rejected("a", Reason.POLICY.value)
    tallies.taken(taken(1))
    tallies.settled(ended(plan(), Status.REVERTED, gas=1))
    tick.mark("plan")
    Stopwatch(registry).record(tick)
    lost_lines(registry)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels, {"instance", "job"})
    return found | ADDED_BY_PROMETHEUS


def looked_up() -> Iterator[tuple[str, str]]:
    """The series and the label of each of the dashboard's variables."""
    for one in DASHBOARD["templating"]["list"]:
        ((name, label),) = re.findall(r"^label_values\((\w+), (\w+)\)$", one["query"]["query"])
        yield name, label


def wrong_in(expression: str, exposed: dict[str, set[str]]) -> list[str]:
    """What an expression names that no keeper exposes: series, labels and values of labels."""
    wrong = sorted(series(expression) - set(exposed))
    of_all = {label for name in series(expression) for label in exposed.get(name, ())}
    grouped = {one.strip() for group in GROUPING.findall(expression) for one in group.split(",")}
    wrong += sorted(grouped - of_all)
    for name, matchers in SELECTOR.findall(expression):
        for label, value in MATCHER.findall(matchers):
            if label not in exposed.get(name, ()):
                wrong.append(f"{name}{{{label}}}")
            if not value.startswith("$"):
                known = VALUES.get(label, {*value.split("|")})
                wrong += sorted({*value.split("|")} - known)
    return wrong


def test_every_series_label_and_value_is_one_that_a_keeper_exposes(
    exposed: dict[str, set[str]],
) -> None:
    named = list(expressions())
    assert len(named) > 40
    assert [(one, wrong) for one in named if (wrong := wrong_in(one, exposed))] == []
    assert [(name, label) for name, label in looked_up() if label not in exposed[name]] == []


def test_every_series_that_a_keeper_exposes_is_drawn_or_ruled_on(
    exposed: dict[str, set[str]],
) -> None:
    named = {name for one in expressions() for name in series(one)}
    bare = {re.sub(r"_(created|bucket|sum|count|total)$", "", name) for name in named}
    kept = {re.sub(r"_(created|bucket|sum|count|total)$", "", name) for name in exposed}
    assert kept - bare == set()


def test_a_series_a_label_and_a_value_that_are_not_are_found_out(
    exposed: dict[str, set[str]],
) -> None:
    assert wrong_in("rate(keeper_sends_total[5m]) > 0", exposed) == ["keeper_sends_total"]
    assert wrong_in("sum by (chain) (keeper_halted)", exposed) == ["chain"]
    assert wrong_in('keeper_halted{lane="x"} == 1', exposed) == ["keeper_halted{lane}"]
    assert wrong_in('keeper_settled_total{status="lost"}', exposed) == ["lost"]


def test_every_series_that_a_keeper_exposes_is_in_the_runbook_with_its_labels(
    exposed: dict[str, set[str]],
) -> None:
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    rows = re.findall(r"^\| `(keeper_\w+)` \|([^|]*)\|", text, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    of_histograms = re.compile("_(bucket|count|sum|created)$")
    own = {
        of_histograms.sub("", name): labels - {"instance", "job", "le"}
        for name, labels in exposed.items()
        if name not in ADDED_BY_PROMETHEUS and not name.endswith("_created")
    }
    assert told == own


def test_every_rule_is_tried_and_has_an_entry_of_the_runbook() -> None:
    runbook = (ROOT / "docs/operations.md").read_text("utf-8")
    headings = re.findall(r"^#+ (\w+)$", runbook, re.MULTILINE)
    tried = set(re.findall(r'alertname[=:]"?(\w+)', (KIT / "alerts.test.yml").read_text("utf-8")))
    names = [rule["alert"] for rule in RULES]
    assert sorted(names) == sorted(set(names))
    assert set(names) - set(headings) == set()
    assert set(names) - tried == set()
    for rule in RULES:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
