"""A real Aave V3 market whose borrowers stand on a ladder: each price step brings one under."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.core.units import Address
from keeper.devnet.assets import ASSETS, opening_prices
from keeper.devnet.borrowers import open_positions, supply_liquidity
from keeper.devnet.build import BUILD_GAS_LIMIT, build_market, settle_node
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket, account_data, open_live
from keeper.devnet.packages import ensure_anvil, quiet
from keeper.devnet.population import Draft, fill
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.runtime.awake import DEVICE

FIRST_BPS = 10_060
STEP_BPS = 1
"""Health of the first account, and of each further one over it."""
_COLLATERAL_USD = 20_000
_FEW = 20
_WAD = 10**18
_LARGE = ("max_in_flight", "max_gas_per_tx_wei", "max_gas_per_hour_wei", "max_gas_per_day_wei")


@dataclass(slots=True)
class Ladder:
    """The market, its node, and who has not been brought under yet."""

    anvil: Anvil
    live: LiveMarket
    executor: Address
    rungs: tuple[Address, ...]
    price: int

    def config(self, folder: Path, *, rpc: str, prearm: int, drill: int = 0) -> Path:
        """Write a keeper's configuration."""
        path = write_config(
            folder,
            self.live.market,
            KeeperFiles(
                rpc=rpc, mode="live", executor=self.executor, recipient=None, min_profit="1 gwei"
            ),
        )
        root = yaml.safe_load(path.read_text("utf-8"))
        root["sending"] = {
            "prearm_accounts": prearm,
            "prearm_drill_ms": drill,
            "keep_awake": os.access(DEVICE, os.W_OK),
        }
        root["audit"] = {"every_blocks": 10**9}  # the loans of the crowd are not on the chain
        root["limits"] |= {
            "max_in_flight": 1_000,
            "max_gas_per_tx_wei": "10 ether",
            "max_gas_per_hour_wei": "5000 ether",
            "max_gas_per_day_wei": "9000 ether",
            "deadline_s": 3_600,
        }
        root["confirm_dangerous"] = [f"limits.{key}" for key in root["limits"] if key in _LARGE]
        path.write_text(yaml.safe_dump(root), "utf-8")
        return path

    def price_for(self, many: int = 1) -> int:
        """Return the answer that brings the next ``many`` accounts under the line, and no more."""
        wanted = self.rungs[many - 1 : many + 1]
        health = [one.health_factor for one in account_data(self.live, list(wanted))]
        last = self.price * _WAD // health[0]
        beyond = self.price * _WAD // health[1] if len(health) > 1 else last * 999 // 1_000
        return (2 * last + beyond) // 3

    def took(self, price: int, many: int = 1) -> None:
        """Note that the price is this, and that so many accounts were brought under."""
        self.price, self.rungs = price, self.rungs[many:]

    @contextmanager
    def left_as_it_is(self) -> Iterator[None]:
        """Undo afterwards what is done to it, down to the hash of its head."""
        kept, price, rungs = self.live.rpc.call("evm_snapshot"), self.price, self.rungs
        yield
        self.live.rpc.call("evm_revert", kept)
        self.price, self.rungs = price, rungs


@contextmanager
def ladder(many: int) -> Iterator[Ladder]:
    """Build the market on a node of its own, which keeps no history."""
    with start_anvil(
        ensure_anvil(), AnvilOptions(ipc=True, extra=("--prune-history", "128"))
    ) as anvil:
        market = build_market(anvil.http_url, seed=5, borrowers=_FEW)
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            executor = _deployed(live)
            rungs = _opened(live, many)
            live.rpc.call("anvil_setBalance", market.accounts.keeper, hex(10**24))
            yield Ladder(anvil, live, executor, rungs, ASSETS["WETH"].price)


def _deployed(live: LiveMarket) -> Address:
    who = live.market.accounts
    return deploy_executor(
        live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )


def _opened(live: LiveMarket, many: int) -> tuple[Address, ...]:
    """Open the ladder's positions at the opening prices, then let prices settle."""
    rpc, market = live.rpc, live.market
    rpc.batch([("evm_setAutomine", [False]), ("evm_setBlockGasLimit", [hex(BUILD_GAS_LIMIT)])])
    positions = [
        fill(
            Draft(
                collateral_usd={"WETH": _COLLATERAL_USD},
                debt_shares={"USDC": 1},
                health_bps=FIRST_BPS + STEP_BPS * rung,
            )
        )
        for rung in range(many)
    ]
    push_prices(live, opening_prices())
    supplier = Sender.of(rpc, market.accounts.supplier)
    supply_liquidity(supplier, live.pool, live.tokens, positions)
    supplier.mine()
    opened = open_positions(
        Sender.of(rpc, market.accounts.deployer),
        live.borrower_factory,
        live.tokens,
        positions,
        already=len(market.borrowers),
        progress=quiet,
    )
    push_prices(live, {symbol: spec.price for symbol, spec in ASSETS.items()})
    settle_node(rpc)
    return tuple(opened)
