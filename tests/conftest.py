"""Fixtures that several rungs share: the node, the packages, and a market to do things to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from keeper.chain.anvil import find_anvil
from keeper.devnet.packages import MARKET_PACKAGES, ensure_all, ensure_anvil
from tests.support.market_node import MarketNode, built_market, copied_market

BORROWERS = 100
SEED = 1

# No input is wrong for having been slow on a busy machine.
settings.register_profile("keeper", deadline=None, derandomize=True)
settings.register_profile("wide", deadline=None)
settings.load_profile("keeper")
"""The same inputs in each run, so that what fails fails for a change; "wide" looks for new ones."""


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """No test logs where another one let it: that stream is closed by now."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anvil_binary() -> Path:
    return find_anvil() or ensure_anvil()


@pytest.fixture(scope="session")
def packages() -> Mapping[str, Path]:
    return ensure_all(MARKET_PACKAGES)


@pytest.fixture(scope="session")
def local_market(anvil_binary: Path, packages: Mapping[str, Path]) -> Iterator[MarketNode]:
    """The market that every test copies. Read it; do not change it."""
    with built_market(anvil_binary, seed=SEED, borrowers=BORROWERS) as node:
        yield node


@pytest.fixture
def market_copy(anvil_binary: Path, local_market: MarketNode) -> Iterator[MarketNode]:
    """A market of the test's own."""
    with copied_market(anvil_binary, local_market) as node:
        yield node


_PARITY = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def parity_report(pytestconfig: pytest.Config) -> list[str]:
    """Lines on how much was compared, for the end of the run."""
    return pytestconfig.stash.setdefault(_PARITY, [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker compared to the process that reports."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["parity"] = session.config.stash.get(_PARITY, [])


def pytest_testnodedown(node: Any) -> None:
    """Take what a worker compared; one that died has nothing to hand over."""
    lines = getattr(node, "workeroutput", {}).get("parity", [])
    node.config.stash.setdefault(_PARITY, []).extend(lines)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much was compared: a comparison of nothing would pass too."""
    if lines := config.stash.get(_PARITY, []):
        terminalreporter.section("parity with the contracts")
        for line in lines:
            terminalreporter.line(line)
