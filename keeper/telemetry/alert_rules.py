"""Which lines of the log a person is alerted of.

An alert is a line of the log that somebody should not have to look for. What the log says went
through the redactor before it comes here, so that no channel hears more than the log.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Final

from msgspec import Struct

from keeper.telemetry.alerts import Alert, AlertDesk, Severity

_MACHINERY: Final = frozenset({"event", "level", "timestamp", "exception", "stack"})
"""Fields of every line; a traceback is for the log alone."""


class Rule(Struct, frozen=True, kw_only=True):
    """How an event of the log becomes an alert."""

    key: str
    """What is wrong. A recovery has the key of its trouble."""
    title: str
    severity: Severity
    of: str = ""
    """The field that tells troubles of one key apart, such as the deployment."""
    recovered: bool = False
    of_all: bool = False
    """It ends what would tell the end of all else of its chain."""
    when: Callable[[Mapping[str, object]], bool] = lambda _: True


RULES: Final[Mapping[str, Rule]] = {
    "sending.halted": Rule(key="halt", title="sending is halted", severity=Severity.CRITICAL),
    "sending.resumed": Rule(
        key="halt", title="sending goes on", severity=Severity.CRITICAL, recovered=True
    ),
    "halt.in_memory": Rule(
        key="halt_in_memory", title="a halt could not be put on disk", severity=Severity.CRITICAL
    ),
    "market.paused": Rule(
        key="pause", title="a market is paused", severity=Severity.CRITICAL, of="deployment"
    ),
    "market.resumed": Rule(
        key="pause",
        title="a market is acted on again",
        severity=Severity.CRITICAL,
        of="deployment",
        recovered=True,
    ),
    "key.used_elsewhere": Rule(
        key="key",
        title="somebody else signs with the operator's key",
        severity=Severity.CRITICAL,
        of="address",
    ),
    "balance.fell": Rule(
        key="balance", title="the operator runs out of gas money", severity=Severity.WARNING,
        of="address",
    ),
    "balance.restored": Rule(
        key="balance", title="the operator has gas money again", severity=Severity.WARNING,
        of="address", recovered=True,
    ),
    "liquidation.settled": Rule(
        key="revert",
        title="a liquidation reverted",
        severity=Severity.WARNING,
        when=lambda event: event.get("status") == "reverted",
    ),
    "node.failed": Rule(
        key="node", title="a node failed", severity=Severity.WARNING, of="node"
    ),
    "node.back": Rule(
        key="node", title="a node is back", severity=Severity.WARNING, of="node",
        recovered=True,
    ),
    "chain.failed": Rule(
        key="chain",
        title="a chain failed and is opened again",
        severity=Severity.CRITICAL,
        of_all=True,
    ),
    "chain.started": Rule(
        key="chain", title="a chain is up again", severity=Severity.CRITICAL, recovered=True
    ),
    "keeper.failed": Rule(key="end", title="the keeper ended", severity=Severity.CRITICAL),
}  # fmt: skip
"""By the event's name."""

_LASTING: Final = frozenset(rule.key for rule in RULES.values() if rule.recovered)
"""What is so until its end is told."""


class AlertTap:
    """A structlog processor: put it after the redactor. It passes every line on as it is."""

    def __init__(self, desk: AlertDesk, *, where: str) -> None:
        """Alert through ``desk``; ``where`` is the chain of lines that name none."""
        self._desk = desk
        self._where = where

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, object]
    ) -> MutableMapping[str, object]:
        """Raise an alert if a rule says so."""
        del logger, method
        rule = RULES.get(str(event.get("event")))
        if rule is not None and rule.when(event):
            alert = self._alert(rule, event)
            if rule.of_all:
                self._desk.forget(lambda key: key.endswith(_of(event)))
            self._desk.heed(alert)
        return event

    def _alert(self, rule: Rule, event: Mapping[str, object]) -> Alert:
        facts = {name: value for name, value in event.items() if name not in _MACHINERY}
        chain = event.get("chain")
        key = f"{rule.key}:{event.get(rule.of, '')}" if rule.of else rule.key
        return Alert(
            key=key + _of(event),
            severity=rule.severity,
            title=f"Keeper on {chain or self._where}: {rule.title}",
            body="\n".join(f"{name}: {value}" for name, value in facts.items()),
            recovered=rule.recovered,
            lasts=rule.key in _LASTING,
        )


def _of(event: Mapping[str, object]) -> str:
    """Return how the keys of an event's chain end, where there are several."""
    chain = event.get("chain")
    return f"@{chain}" if chain else ""
