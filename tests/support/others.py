"""Somebody else liquidates while a deployment of ours looks on: the note, held against balances."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.app.deployment import Deployment
from keeper.app.session import Session, keeper_session
from keeper.config.settings import load
from keeper.core.lending import AccountRef, Option
from keeper.core.taken import Taken
from keeper.core.units import WAD, Address
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.contract import Contract
from keeper.devnet.crash import crash
from keeper.devnet.live import LiveMarket
from keeper.devnet.sender import Sender, read_all
from keeper.devnet.stages import DeploymentFile
from keeper.ledger.books import read_books
from tests.support.heard import Heard

BLOCK_S = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Onlooker:
    """A deployment as a running keeper has it, that sees a head when it is told to."""

    deployment: Deployment[Any, Any]
    session: Session
    heard: Heard
    database: Path

    async def look(self) -> list[Taken]:
        """See the newest head; return what the books have of others, oldest first."""
        assert await self.deployment.see_head(await self.session.chain.reader.head())
        assert self.heard.skips == []
        kept = read_books(self.database).taken
        assert set(self.heard.takens) <= set(kept)
        return list(kept)

    def view(self) -> Any:
        """Return the market as it will be in the block after the one it saw last."""
        snapshot, book = self.deployment.mirror.snapshot, self.deployment._prices
        assert book is not None
        return self.deployment.adapter.at(
            snapshot.market,
            block=snapshot.block.number + 1,
            timestamp=snapshot.block.timestamp + BLOCK_S,
            prices=book.prices,
        )

    def options(self) -> list[tuple[AccountRef, Option]]:
        """Return every way to liquidate in the next block."""
        view, positions = self.view(), self.deployment.mirror.snapshot.positions
        return [
            (ref, option)
            for ref, position in sorted(positions.items())
            for option in self.deployment.adapter.options(view, position)
        ]


@asynccontextmanager
async def onlooker(
    folder: Path, live: LiveMarket, url: str, file: DeploymentFile
) -> AsyncIterator[Onlooker]:
    """Open a keeper of one deployment at the newest block."""
    wanted = KeeperFiles(
        rpc=url, mode="observe", executor=None, recipient=None, deployments=(file,)
    )
    settings, heard = load(write_config(folder, live.market, wanted)), Heard()
    async with keeper_session(settings, heard) as session:
        (deployment,) = session.keeper.deployments
        deployment.acting.give_way = _nobody_acts  # type: ignore[method-assign]
        await deployment.start(session.head)
        yield Onlooker(
            deployment=deployment, session=session, heard=heard, database=settings.database
        )


async def _nobody_acts(_most_s: float) -> None:
    """Wait for nobody: what acts does not run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a whole token is worth, in the unit of the market, with the native coin in the same."""

    price: int
    unit: int
    native: int

    def wei(self, amount: int) -> int:
        """Return the value of raw units, wei rounded down."""
        return amount * self.price * WAD // (self.unit * self.native)


def require_split(found: Taken, collateral: Worth, debt: Worth) -> None:
    """Hold penalty and bonus against the amounts of the note, at the prices of the chain."""
    assert found.protocol_fee is not None
    seized, repaid = collateral.wei(found.seized), debt.wei(found.repaid)
    assert found.penalty == seized - repaid
    assert (found.collateral.unit, found.debt.unit) == (collateral.unit, debt.unit)


def require_place(found: Taken, receipt: Any, gas_parts: int = 1) -> None:
    """Hold where it stood and what its gas cost against the receipt."""
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert found.gas in (cost // gas_parts, cost // gas_parts + cost % gas_parts)
    assert found.tx_hash == receipt["transactionHash"]
    assert (found.block, found.block_hash) == (
        int(receipt["blockNumber"], 16),
        receipt["blockHash"],
    )
    assert found.place == int(receipt["transactionIndex"], 16)
    assert found.log_index in {int(one["logIndex"], 16) for one in receipt["logs"]}


def ask_at(
    live: LiveMarket, block: int, contract: Contract, function: str, *arguments: object
) -> Any:
    """Return what a contract answers at a block."""
    return read_all(live.rpc, [(contract, function, arguments)], hex(block))[0]


def growth(live: LiveMarket, block: int, token: Contract, who: Address) -> int:
    """Return by how much a balance grew in a block."""
    before, after = (ask_at(live, at, token, "balanceOf", who) for at in (block - 1, block))
    return int(after - before)


def fall(live: LiveMarket, steps: int) -> None:
    """Let prices fall by so many steps of the crash."""
    for step in crash(live):
        if step.number == steps:
            return


def supplier_of(live: LiveMarket) -> Sender:
    """Return who liquidates: the supplier of the local market."""
    return Sender.of(live.rpc, live.market.accounts.supplier)
