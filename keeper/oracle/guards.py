"""Reasons not to act on a price. Each stops acting, never showing, and says what it found.

All of it is pure: figures in, words out. An empty answer means that nothing is wrong.
"""

from typing import Final

from msgspec import Struct

from keeper.core.units import BPS
from keeper.oracle.chainlink import Round

SEQUENCER_UP: Final = 0


def value_problem(label: str, value: int) -> str | None:
    """Return why ``value`` is no price at all, or None."""
    if value > 0:
        return None
    return f"{label}: expected a positive price, found {value}"


def age_problem(label: str, updated_at: int, heartbeat_s: int, now: int) -> str | None:
    """Return why an answer is too old at block time ``now``, or None."""
    age = now - updated_at
    if age > heartbeat_s:
        return f"{label}: expected an update within {heartbeat_s} s, found {age} s"
    return None


def bound_problem(label: str, answer: int, *, low: int | None, high: int | None) -> str | None:
    """Return why an answer may be a bound of the aggregator and not the market's price, or None.

    Beyond its bounds an aggregator gives the bound or refuses updates: in both cases the price
    may be anywhere. A bound that the aggregator does not have is None.
    """
    if low is not None and answer <= low:
        return f"{label}: expected more than the aggregator's lowest answer {low}, found {answer}"
    if high is not None and answer >= high:
        return f"{label}: expected less than the aggregator's highest answer {high}, found {answer}"
    return None


def deviation_problem(
    label: str, value: int, second: int, *, where: str, most_bps: int
) -> str | None:
    """Return why a price is too far from the second source's, or None."""
    if second <= 0:
        return f"{label}: expected a second price from {where}, found {second}"
    if abs(value - second) * BPS <= most_bps * second:
        return None
    return f"{label}: expected {second} within {_percent(most_bps)} % ({where}), found {value}"


class Hold(Struct, frozen=True, kw_only=True):
    """A price that leapt, or is lost, and from where."""

    reference: int
    """The price before that."""
    since: int
    """The block of the leap, or the newest one without the price."""


class SpikeRule(Struct, frozen=True, kw_only=True):
    """How far a price may move from one block to the next before acting on it waits."""

    most_bps: int
    pause_blocks: int
    """How long a price that stays where it leapt is not acted on."""


def spike_after(
    rule: SpikeRule, value: int, earlier: int | None, hold: Hold | None, block: int
) -> Hold | None:
    """Return the hold on a price at ``block``, None when it may be acted on.

    It ends when the price comes back, or has stayed for long enough.
    """
    reference = hold.reference if hold else earlier
    if reference is None or abs(value - reference) * BPS <= rule.most_bps * reference:
        return None
    since = hold.since if hold else block
    if block - since >= rule.pause_blocks:
        return None
    return Hold(reference=reference, since=since)


def spike_problem(label: str, rule: SpikeRule, value: int, hold: Hold) -> str:
    """Return why a price that leapt is not acted on yet."""
    moved_bps = (value - hold.reference) * BPS // hold.reference
    until = hold.since + rule.pause_blocks
    return (
        f"{label}: expected to move by at most {_percent(rule.most_bps)} % in a block, found "
        f"{_percent(moved_bps)} % in block {hold.since}; it is not acted on before block {until}"
    )


def sequencer_problem(latest: Round | None, grace_s: int, now: int) -> str | None:
    """Return why nothing may be done on this rollup now, or None.

    ``latest`` is None when the uptime feed did not answer.
    """
    if latest is None:
        return "sequencer: expected its uptime feed to answer, found a revert"
    if latest.answer != SEQUENCER_UP:
        return f"sequencer: expected it up, found it down since {latest.started_at}"
    if latest.started_at == 0:
        return "sequencer: expected a time of its last start, found none"
    up_s = now - latest.started_at
    if up_s <= grace_s:
        return f"sequencer: expected it up for more than {grace_s} s, found {up_s} s"
    return None


def clock_problem(timestamp: int, now: int, *, most_age_s: int, most_lead_s: int) -> str | None:
    """Return why a head is no head to act on by our own clock, or None.

    Either the node lags behind the chain or our clock is wrong: it cannot be told which.
    """
    age = now - timestamp
    if age > most_age_s:
        return f"head: expected one of the last {most_age_s} s by our clock, found it {age} s old"
    if -age > most_lead_s:
        return f"head: expected at most {most_lead_s} s ahead of our clock, found {-age} s"
    return None


def _percent(bps: int) -> str:
    """Return basis points as percent, without a float."""
    sign = "-" if bps < 0 else ""
    whole, part = divmod(abs(bps), 100)
    return f"{sign}{whole}.{part:02d}" if part else f"{sign}{whole}"
