"""A market after part of the crash, and an executor on it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from keeper.chain.anvil import AnvilOptions, start_anvil
from keeper.devnet.build import build_market
from keeper.devnet.crash import CRASH, crash
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.packages import ensure_anvil
from tests.support.executor_stage import PROPOSER, RECIPIENT, Stage, deploy, executor_artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """A market in which loans are under water, and a stage on it."""

    live: LiveMarket
    stage: Stage

    def earned(self) -> int:
        """Return what the recipient holds of wrapped native coin."""
        return self.stage.holding(self.live.tokens["WETH"], RECIPIENT)


@contextmanager
def crashed_market() -> Iterator[Crashed]:
    """Build the market on a node of its own and let prices fall."""
    with start_anvil(ensure_anvil(), AnvilOptions()) as anvil:
        built = build_market(anvil.http_url, borrowers=40)
        live = open_live(built, anvil.http_url)
        with closing(live.rpc) as rpc:
            for _ in crash(live, CRASH[:5]):
                pass
            rpc.call("evm_setAutomine", False)
            rpc.call("anvil_setCoinbase", PROPOSER)
            who = built.accounts
            stage = Stage(
                rpc=rpc,
                artifacts={},
                owner=who.deployer,
                operator=who.keeper,
                stranger=who.actors[0],
                executor=deploy(
                    rpc, who.deployer, executor_artifact(), who.deployer, [who.keeper], RECIPIENT
                ),
            )
            yield Crashed(live=live, stage=stage)
