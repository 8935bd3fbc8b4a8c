"""What a fact's way to the wire took, and how it is counted."""

from prometheus_client import CollectorRegistry

from keeper.core.tick import Rung, Tick
from keeper.telemetry.metrics import Stopwatch


def marked():
    tick = Tick(1_000, Rung.PREPARED)
    tick.marks = [("decode", 3_000), ("sign", 33_000), ("send", 40_000)]
    return tick


def test_the_stages_of_a_tick_add_up_to_the_whole():
    tick = marked()
    assert tick.spans_ns() == [("decode", 2_000), ("sign", 30_000), ("send", 7_000)]
    assert sum(took for _, took in tick.spans_ns()) == tick.total_ns == 39_000


def test_a_stage_that_ends_twice_counts_for_both():
    tick = Tick(1_000)
    tick.marks = [("look_up", 2_000), ("read", 5_000), ("look_up", 9_000)]
    assert tick.spans_ns() == [("look_up", 5_000), ("read", 3_000)]
    assert sum(took for _, took in tick.spans_ns()) == tick.total_ns


def test_a_mark_is_never_before_the_beginning():
    tick = Tick()
    tick.mark("decode")
    assert tick.spans_ns()[0][1] >= 0


def test_a_tick_is_counted_under_its_rung_and_each_of_its_stages():
    registry = CollectorRegistry()
    Stopwatch(registry).record(marked())
    assert registry.get_sample_value("keeper_tick_to_send_seconds_sum", {"rung": "prepared"}) == (
        39_000 / 1e9
    )
    signed = {"rung": "prepared", "stage": "sign"}
    assert registry.get_sample_value("keeper_tick_stage_seconds_sum", signed) == 30_000 / 1e9
    assert registry.get_sample_value("keeper_tick_stage_seconds_count", signed) == 1.0


def test_one_microsecond_and_one_second_fall_into_different_buckets():
    registry = CollectorRegistry()
    watch = Stopwatch(registry)
    for took in (1_000, 1_000_000_000):
        tick = Tick(1)
        tick.marks = [("send", 1 + took)]
        watch.record(tick)
    below = {"rung": "planned", "le": "0.001"}
    assert registry.get_sample_value("keeper_tick_to_send_seconds_bucket", below) == 1.0
