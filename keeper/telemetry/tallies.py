"""What the daemon did, counted for Prometheus. Amounts are floats of ether: for graphs only."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from keeper.core.plan import Outcome
from keeper.core.taken import Taken
from keeper.core.units import Address

_ETHER: Final = 10**18
REMEMBERED: Final = 4_096
"""Outcomes that may be corrected yet; a reorg reaches back to none before."""


class Tallies:
    """Counters and gauges of one keeper."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Add the measures to a registry; a registry takes them once."""
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        by_deployment, by_node, by_operator = ("deployment",), ("node",), ("operator",)
        self._block = gauge("keeper_block_number", "Block of the mirror.", by_deployment)
        self._accounts = gauge("keeper_accounts", "Accounts with debt.", by_deployment)
        self._under = gauge(
            "keeper_accounts_liquidatable",
            "Accounts under the line that may be acted on.",
            by_deployment,
        )
        self._paused = gauge("keeper_paused", "1 while a market of it is paused.", by_deployment)
        self._skipped = counter("keeper_blocks_skipped", "Blocks passed over.", by_deployment)
        self._foreseen = counter("keeper_prices_foreseen", "Updates seen pending.", by_deployment)
        self._sent = counter("keeper_sent", "Liquidations sent.", ("deployment", "lane"))
        self._shown = counter("keeper_shown", "Liquidations shown, disarmed.", by_deployment)
        self._rejected = counter("keeper_rejected", "Rejections told.", ("deployment", "reason"))
        self._taken = counter("keeper_taken", "Liquidations by others.", ("deployment", "cause"))
        self._settled = counter("keeper_settled", "Outcomes.", ("status",))
        self._net = gauge("keeper_net_ether", "Net of this run's outcomes; it may fall.")
        self._gas = counter("keeper_gas_ether", "Gas of this run's outcomes.")
        self.in_flight = gauge("keeper_in_flight", "Intents without an outcome.")
        self._balance = gauge(
            "keeper_operator_balance_ether",
            "Native coin of an operator, when last read.",
            by_operator,
        )
        self._floor = gauge(
            "keeper_operator_balance_least_ether",
            "Native coin under which an operator sends nothing.",
            by_operator,
        )
        self._usable = gauge("keeper_node_usable", "1 while the node may be asked.", by_node)
        self._active = gauge("keeper_node_active", "1 for the node that is asked first.", by_node)
        self._head = gauge("keeper_node_block_number", "Newest block of the node.", by_node)
        self.halted = gauge("keeper_halted", "1 while sending is halted.")
        self._counted: dict[str, Outcome] = {}
        """By plan, as it was told last."""

    def balances(self, held: Mapping[Address, int], *, least: int) -> None:
        """Note what operators hold, wei; who is not among them is not shown any more."""
        for gauge in (self._balance, self._floor):
            gauge.clear()
        for operator, wei in held.items():
            self._balance.labels(operator).set(wei / _ETHER)
            self._floor.labels(operator).set(least / _ETHER)

    def node(self, name: str, *, is_usable: bool, is_active: bool, block: int | None) -> None:
        """Note the health of a node."""
        self._usable.labels(name).set(int(is_usable))
        self._active.labels(name).set(int(is_active))
        if block is not None:
            self._head.labels(name).set(block)

    def mirrored(self, deployment: str, block: int, accounts: int) -> None:
        """Note the mirror's block and size."""
        self._block.labels(deployment).set(block)
        self._accounts.labels(deployment).set(accounts)

    def lost(self, deployment: str) -> None:
        """Show no figures of loans that are not read any more: their absence is no zero."""
        for gauge in (self._accounts, self._under):
            with suppress(KeyError):
                gauge.remove(deployment)

    def under(self, deployment: str, count: int) -> None:
        """Note how many are under the line."""
        self._under.labels(deployment).set(count)

    def paused(self, deployment: str, *, is_paused: bool) -> None:
        """Note whether a market is paused."""
        self._paused.labels(deployment).set(int(is_paused))

    def skipped(self, deployment: str) -> None:
        """Count a block that was passed over."""
        self._skipped.labels(deployment).inc()

    def foreseen(self, deployment: str) -> None:
        """Count a price of the mempool."""
        self._foreseen.labels(deployment).inc()

    def sent(self, deployment: str, lane: str) -> None:
        """Count a send."""
        self._sent.labels(deployment, lane).inc()

    def shown(self, deployment: str) -> None:
        """Count what would have been sent."""
        self._shown.labels(deployment).inc()

    def rejected(self, deployment: str, reason: str) -> None:
        """Count a rejection."""
        self._rejected.labels(deployment, reason).inc()

    def settled(self, outcome: Outcome) -> None:
        """Count an outcome and what it brought; one that a reorg corrected is not another one."""
        before = self._counted.pop(outcome.plan_id, None)
        self._counted[outcome.plan_id] = outcome
        if len(self._counted) > REMEMBERED:
            del self._counted[next(iter(self._counted))]
        if before is None or before.status is not outcome.status:
            self._settled.labels(outcome.status.value).inc()
        net, gas = (0, 0) if before is None else (before.realised.net, before.realised.gas)
        self._net.inc((outcome.realised.net - net) / _ETHER)
        self._gas.inc(max(outcome.realised.gas - gas, 0) / _ETHER)  # a counter never falls

    def taken(self, taken: Taken) -> None:
        """Count what somebody else liquidated, by why it was not us."""
        self._taken.labels(taken.deployment, taken.cause.value).inc()
