"""Fixtures of the on-chain rung that only it needs."""

from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from keeper.chain.anvil import AnvilOptions, start_anvil
from keeper.core.units import address
from keeper.devnet.contract import Artifact
from keeper.devnet.packages import ensure_anvil
from keeper.devnet.rpc import Rpc
from tests.support.executor_crash import Crashed, crashed_market
from tests.support.executor_stage import (
    PROPOSER,
    RECIPIENT,
    Stage,
    compile_hostile,
    deploy,
    executor_artifact,
)


@pytest.fixture(scope="session")
def hostile_artifacts() -> Mapping[str, Artifact]:
    return compile_hostile()


@pytest.fixture(scope="session")
def bare_stage(hostile_artifacts: Mapping[str, Artifact]) -> Iterator[Stage]:
    with (
        start_anvil(ensure_anvil(), AnvilOptions(base_fee_wei=10**9, automine=False)) as anvil,
        closing(Rpc(anvil.http_url)) as rpc,
    ):
        owner, operator, stranger, *_ = (address(a) for a in rpc.call("eth_accounts"))
        rpc.call("anvil_setCoinbase", PROPOSER)
        yield Stage(
            rpc=rpc,
            artifacts=hostile_artifacts,
            owner=owner,
            operator=operator,
            stranger=stranger,
            executor=deploy(rpc, owner, executor_artifact(), owner, [operator], RECIPIENT),
        )


@pytest.fixture
def stage(bare_stage: Stage) -> Iterator[Stage]:
    """An executor on a node of its own; what a test does to it is undone."""
    kept = bare_stage.rpc.call("evm_snapshot")
    yield bare_stage
    bare_stage.rpc.call("evm_revert", kept)


@pytest.fixture(scope="session")
def crash_base() -> Iterator[Crashed]:
    with crashed_market() as market:
        yield market


@pytest.fixture
def crashed(crash_base: Crashed) -> Iterator[Crashed]:
    """A market with loans under water and an executor; what a test does to it is undone."""
    kept = crash_base.stage.rpc.call("evm_snapshot")
    yield crash_base
    crash_base.stage.rpc.call("evm_revert", kept)
