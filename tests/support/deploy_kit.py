"""The kit of ``deploy`` as it is written, and the series that its expressions name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
KIT = ROOT / "deploy"
RULES = [
    rule
    for group in yaml.safe_load((KIT / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((KIT / "grafana/dashboards/keeper.json").read_text("utf-8"))

ADDED_BY_PROMETHEUS = {"up": {"instance", "job"}, "ALERTS": {"alertname", "alertstate", "severity"}}
"""Series, and the labels that every series has beside its own."""
OPERATORS = {"and", "or", "unless", "by", "without", "on", "ignoring", "offset", "bool"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def expressions() -> Iterator[str]:
    """Every expression of PromQL in the kit."""
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])


def series(expression: str) -> set[str]:
    """The names of series in an expression of PromQL."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\boffset\s+\w+", " ", GROUPING.sub(" ", bare))
    return set(re.findall(r"\b[A-Za-z_][\w:]*\b(?!\s*\()", bare)) - OPERATORS
