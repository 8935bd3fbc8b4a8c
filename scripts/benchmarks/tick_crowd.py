"""A book on disk of the real market's loans and many synthetic ones far from the line."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from benchmarks.ladder import Ladder
from benchmarks.rows import progress
from keeper.app.book_file import save_book
from keeper.app.sight import Sight
from keeper.chain.session import ChainOptions, open_chain
from keeper.core.lending import AccountRef
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.ledger.checkpoints import Checkpoint as Kept
from keeper.mirror.known import scope_of
from keeper.mirror.mirror import Mirror
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition

DEPLOYMENT = "aave_v3.local"
_CHUNK = 20_000
_RAY = 10**27
_SEED = 3


async def write_book(steps: Ladder, path: Path, many: int) -> None:
    """Mirror the real market once and write it, with ``many`` loans more, as a checkpoint does."""
    market = steps.live.market
    adapter = AaveAdapter(
        deployment=DEPLOYMENT,
        start_block=market.start_block,
        parameters=Parameters(addresses_provider=market.provider),
    )
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(str(steps.anvil.ipc_path), options) as chain:
        head = await chain.reader.head()
        mirror: Mirror[AaveMarket, AavePosition] = Mirror(adapter, chain.reader)
        snapshot = await mirror.start(head, None, lambda *_: None)
        watcher = PriceWatcher(chain.reader)
        await watcher.follow(adapter.feeds(snapshot.market), head)
        prices = (await watcher.read(head, None)).prices
    sight: Sight[AaveMarket, AavePosition] = Sight(adapter, block_time_s=12)
    sight.take(snapshot)
    view = adapter.at(snapshot.market, block=head.number, timestamp=head.timestamp, prices=prices)
    positions, done, loans = snapshot.positions, 0, _loans(view, many)
    while chunk := dict(islice(loans, _CHUNK)):
        positions = positions.with_changes(chunk)
        sight._watch.take(snapshot.market, chunk)
        done += len(chunk)
        if done % 200_000 == 0:
            progress(f"{done:,} loans made")
    whole = replace(snapshot, positions=positions)
    scope = scope_of(adapter, snapshot.market)
    known = Kept(block=head.number, hash=head.hash, scope=scope)
    if sight.columns is None or not save_book(path, DEPLOYMENT, whole, sight.columns, known):
        raise AssertionError("a book that can be saved")


def _loans(view: AaveMarket, many: int) -> Iterator[tuple[AccountRef, AavePosition]]:
    """Yield loans with health factors from 1.4 up, a collateral and a debt each."""
    random = Random(_SEED)  # noqa: S311 - a benchmark, not a secret
    numbers = [number for number, line in enumerate(view.lines) if line and line.price]
    for _ in range(many):
        collateral, debt = random.sample(numbers, 2)
        usd, health = 10 ** random.uniform(2, 6), 1.4 + random.expovariate(1.0)
        owed = usd * 0.75 / health
        account = Address(f"0x{random.getrandbits(160):040x}")
        yield (
            AccountRef(market=view.pool, account=account),
            AavePosition(
                collateral=((collateral, _scaled(view, collateral, usd, debt=False)),),
                debt=((debt, _scaled(view, debt, owed, debt=True)),),
                emode=0,
            ),
        )


def _scaled(view: AaveMarket, number: int, usd: float, *, debt: bool) -> int:
    line = view.lines[number]
    if line is None or line.price is None:
        raise AssertionError(number)
    index = line.variable_index if debt else line.liquidity_index
    return max(int(usd * 10**8) * line.unit * _RAY // (line.price * index), 1)
