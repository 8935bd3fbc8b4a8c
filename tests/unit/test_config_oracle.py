"""What an operator may say about prices, heads and the audit, and how mistakes are named."""

from pathlib import Path

import pytest

from keeper.app.prices import oracle_policy
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.oracle.guards import SpikeRule
from keeper.oracle.policy import Sequencer
from keeper.oracle.second_source import FeedOpinion, PoolOpinion
from tests.unit.test_config_settings import SHIPPED

CHAIN = "chains/ethereum.yaml"
PROTOCOL = "protocols/aave_v3.ethereum.yaml"
A, B = "0x" + "aa" * 20, "0x" + "bb" * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("keeper.yaml", CHAIN, PROTOCOL):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text((SHIPPED / name).read_text("utf-8"), "utf-8")
    return tmp_path


def edit(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as found:
        load(folder / "keeper.yaml")
    return str(found.value)


def test_the_shipped_guards_are_what_their_comments_say(folder: Path) -> None:
    policy = oracle_policy(load(folder / "keeper.yaml"), "aave_v3.ethereum")
    assert policy.default_heartbeat_s == 90_000
    assert policy.spike == SpikeRule(most_bps=3_000, pause_blocks=25)
    assert (policy.sequencer, policy.second_sources) == (None, {})


def test_without_a_word_the_guards_are_the_shipped_ones(folder: Path) -> None:
    shipped = load(folder / "keeper.yaml")
    text = (folder / PROTOCOL).read_text("utf-8")
    start, end = text.index("oracle:"), text.index("parameters:")
    (folder / PROTOCOL).write_text(text[:start] + text[end:], "utf-8")
    bare = load(folder / "keeper.yaml")
    assert bare.deployments[0].settings.oracle == shipped.deployments[0].settings.oracle


def test_spikes_may_be_acted_on_by_an_explicit_word(folder: Path) -> None:
    edit(folder, PROTOCOL, "on_spike: pause ", "on_spike: act ")
    assert oracle_policy(load(folder / "keeper.yaml"), "aave_v3.ethereum").spike is None


def test_a_single_feed_may_be_held_to_less(folder: Path) -> None:
    edit(folder, PROTOCOL, "max_moves_bps: {}", f'max_moves_bps: {{wstETH: 200, "{A}": 50}}')
    policy = oracle_policy(load(folder / "keeper.yaml"), "aave_v3.ethereum")
    assert policy.most_moves_bps == {"wstETH": 200, A: 50}


def test_second_sources_of_both_kinds_are_taken(folder: Path) -> None:
    sources = (
        "second_sources:\n"
        f'    WETH: {{kind: chainlink, feed: "{A}", max_deviation_bps: 150}}\n'
        f'    "{B}": {{kind: uniswap_v3, pool: "{A}", base: "{B}", quote: WETH, window_s: 600}}\n'
    )
    edit(folder, PROTOCOL, "second_sources: {}", sources)
    policy = oracle_policy(load(folder / "keeper.yaml"), "aave_v3.ethereum")
    assert policy.second_sources == {
        "WETH": FeedOpinion(proxy=A, most_bps=150, decimals=8),
        B: PoolOpinion(pool=A, base=B, quote="WETH", window_s=600, most_bps=300, decimals=8),
    }


def test_a_rollups_sequencer_is_taken_with_its_grace(folder: Path) -> None:
    edit(folder, CHAIN, "watch_mempool: false", f'sequencer: {{feed: "{A}"}}\nwatch_mempool: true')
    settings = load(folder / "keeper.yaml")
    assert settings.chain.watch_mempool
    policy = oracle_policy(settings, "aave_v3.ethereum")
    assert policy.sequencer == Sequencer(feed=A, grace_s=3_600)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (PROTOCOL, "max_move_bps:", "max_move_bp:", "unknown key 'max_move_bp'"),
        (PROTOCOL, "max_move_bp", "max_move_bp", "did you mean 'max_move_bps'?"),
        (PROTOCOL, "on_spike: pause ", "on_spike: ignore ", "oracle.on_spike: expected 'pause'"),
        (PROTOCOL, "max_move_bps: 3_000", "max_move_bps: 30_000", "whole number from 0 to 10000"),
        (PROTOCOL, "spike_pause_blocks: 25", "spike_pause_blocks: 0", "1 or more"),
        (
            PROTOCOL,
            "second_sources: {}",
            f'second_sources: {{WETH: {{kind: twap, pool: "{A}"}}}}',
            "oracle.second_sources.WETH",
        ),
        (
            PROTOCOL,
            "second_sources: {}",
            f'second_sources: {{WETH: {{kind: uniswap_v3, pool: "{A}"}}}}',
            "base",
        ),
        (CHAIN, "watch_mempool: false", "sequencer: {grace_s: 60}", "missing key 'sequencer.feed'"),
        (CHAIN, "max_head_lead_s: 60", "max_head_lead_s: 0", "max_head_lead_s: expected"),
        ("keeper.yaml", "sample: 50", "sample: 0", "audit.sample: expected a whole number"),
        ("keeper.yaml", "every_blocks:", "every:", "unknown key 'every'"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(
    folder: Path, name: str, old: str, new: str, said: str
) -> None:
    if old == new:
        edit(folder, name, "max_move_bps:", "max_move_bp:")
    else:
        edit(folder, name, old, new)
    message = refusal(folder)
    assert said in message
    assert name in message
