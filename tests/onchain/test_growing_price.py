"""A loan that a growing price takes under the line is liquidated in the first block that it can be.

On Venus, with its own oracle for tokens whose exchange rate is capped (``OneJumpOracle``): the cap
grows by the second, no event tells of it, and each block has another price.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keeper.app.session import Session, keeper_session
from keeper.commands.local_run import dealt_with, mine_until
from keeper.config.settings import Settings, load
from keeper.core.chain import Transaction
from keeper.core.lending import AccountRef
from keeper.core.plan import Status
from keeper.core.units import MAX_UINT256, WAD, ZERO_ADDRESS, Address
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.chainlink import aggregator_artifact
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.contract import Contract
from keeper.devnet.executor import deploy_executor
from keeper.devnet.packages import ensure, ensure_all
from keeper.devnet.sender import Sender, read
from keeper.devnet.stage_venus import venus_file
from keeper.devnet.tokens import fund
from keeper.devnet.venus import PACKAGES, proxied, venus_artifacts
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.evm.words import ask, ask_address, int_at
from keeper.ledger.books import read_books
from keeper.protocols.compound_v2 import codec
from keeper.scanner.crossing import crossing_price
from tests.support.heard import Heard
from tests.support.venus_scene import VenusNode, built_venus, open_scene

BORROWER = Address("0x" + "b0" * 20)
LOAN = "wstETH"
COLLATERAL_USD = 100_000
RATE = 12 * WAD // 10
A_YEAR_S = 365 * 86_400
GROWTH_A_YEAR = WAD // 2
"""Of the cap: two ten-millionths a block."""
NEXT_S = 12
BLOCKS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped:
    """Venus with a market whose price is capped, and a loan of it."""

    node: VenusNode
    oracle: Contract
    executor: Address

    def cap(self, rate: int, since: int) -> None:
        """Cap the exchange rate at what grows from this one since then."""
        deployer = Sender.of(self.node.live.live.rpc, self.node.market.accounts.deployer)
        deployer.call(self.oracle, "setSnapshot", rate, since)
        deployer.mine()

    def settings(self, folder: Path) -> Settings:
        """Write and read the files of a keeper that may send."""
        node = self.node
        files = KeeperFiles(
            rpc=str(node.anvil.ipc_path),
            mode="live",
            executor=self.executor,
            recipient=node.market.accounts.recipient,
            deployments=(venus_file(node.market, node.venus),),
        )
        return load(write_config(folder, node.market, files))


@pytest.fixture
def capped(anvil_binary: Path) -> Iterator[Capped]:
    with built_venus(anvil_binary) as node:
        who = node.market.accounts
        resilient = priced_by(node)
        oracle = price_by_cap(node, resilient)
        borrow(node, resilient)
        executor = deploy_executor(
            node.live.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
        )
        node.live.live.rpc.call("evm_setAutomine", False)
        yield Capped(node=node, oracle=oracle, executor=executor)


def priced_by(node: VenusNode) -> Contract:
    artifacts = venus_artifacts(ensure_all(PACKAGES))
    return Contract(artifact=artifacts["ResilientOracle"], address=node.venus.oracle)


def price_by_cap(node: VenusNode, resilient: Contract) -> Contract:
    """Price the token as ether times an exchange rate that is above its cap."""
    rpc, token = node.live.live.rpc, node.market.asset(LOAN).token
    artifacts = venus_artifacts(ensure_all(PACKAGES))
    place = read(rpc, resilient, "accessControlManager")
    access = Contract(artifact=artifacts["AccessControlManagerMock"], address=place)
    deployer = Sender.of(rpc, node.market.accounts.deployer)
    rates = proxied(deployer, artifacts, access, artifacts["ChainlinkOracle"])
    deployer.call(rates, "setTokenConfig", (token, rate_feed(deployer, node), 10**9))
    now = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    made = deployer.deploy(
        artifacts["OneJumpOracle"],
        *(token, node.market.weth, resilient.address, rates.address),
        *(GROWTH_A_YEAR, 30 * 86_400, RATE, now, access.address, 0),
    )
    sources = [made.address, ZERO_ADDRESS, ZERO_ADDRESS]
    deployer.call(resilient, "setTokenConfig", (token, sources, [True, False, False], False))
    deployer.mine()
    return made


def rate_feed(deployer: Sender, node: VenusNode) -> Address:
    """Return a feed that says a rate far above any cap."""
    who = node.market.accounts
    behind = deployer.deploy(
        aggregator_artifact(ensure("chainlink-feeds")),
        *(ZERO_ADDRESS, 0, 1_800, ZERO_ADDRESS, 1, 10**16, 8, "wstETH / ETH"),
    )
    deployer.call(behind, "changeOracles", [], [who.oracle_node], [who.deployer], 1, 1, 0)
    deployer.call(behind, "disableAccessCheck")
    deployer.mine()
    teller = Sender.of(deployer.rpc, who.oracle_node)
    teller.call(behind, "submit", 1, 2 * 10**8)
    teller.mine()
    return behind.address


def borrow(node: VenusNode, resilient: Contract) -> None:
    """Let somebody owe the token against dollars, nearly as much as they allow."""
    live, rpc, markets = node.live.live, node.live.live.rpc, node.live.markets
    rpc.call("anvil_setBalance", BORROWER, hex(100 * WAD))
    rpc.call("anvil_impersonateAccount", BORROWER)
    supplier = Sender.of(rpc, node.market.accounts.supplier)
    fund(supplier, live.tokens, BORROWER, {"USDC": COLLATERAL_USD * 10**6})
    supplier.mine()
    one = Sender.of(rpc, BORROWER)
    one.call(live.tokens["USDC"], "approve", markets["USDC"].address, MAX_UINT256)
    one.call(markets["USDC"], "mint", COLLATERAL_USD * 10**6)
    one.call(node.live.comptroller, "enterMarkets", [markets["USDC"].address])
    one.mine()
    _, spare, _ = read(rpc, node.live.comptroller, "getBorrowingPower", BORROWER)
    price = read(rpc, resilient, "getUnderlyingPrice", markets[LOAN].address)
    one.call(markets[LOAN], "borrow", spare * WAD // price * 99 // 100)
    one.mine()


async def cap_below(capped: Capped) -> None:
    """Cap the rate so that time takes the loan over the line in the tenth block from now."""
    async with open_scene(capped.node) as scene:
        look = await scene.look()
        feed = capped.node.venus.markets[LOAN]
        crossing = crossing_price(
            scene.adapter,
            look.market,
            look.positions[AccountRef(market=capped.node.venus.comptroller, account=BORROWER)],
            number=look.block.number + 10,
            timestamp=look.block.timestamp + 10 * NEXT_S,
            prices=look.prices,
            feed=feed,
        )
        assert crossing is not None
        ether = look.prices[capped.node.venus.markets["WETH"]].value
        grown = GROWTH_A_YEAR // A_YEAR_S * NEXT_S * 19 // 2
        capped.cap(crossing * WAD // ether * WAD // (WAD + grown), look.block.timestamp)


async def is_under_next(session: Session, node: VenusNode) -> bool:
    """Return whether the Comptroller would let the loan be liquidated in the block after this."""
    head = await session.chain.reader.head()
    accruals = [ask(node.venus.markets[one], codec.ACCRUE_INTEREST) for one in ("USDC", LOAN)]
    asked = ask_address(node.venus.comptroller, codec.GET_ACCOUNT_LIQUIDITY, BORROWER)
    done = await session.chain.simulator.simulate(
        [
            Transaction(sender=node.market.accounts.supplier, to=one.to, data=one.data)
            for one in (*accruals, asked)
        ],
        base=head,
        timestamp=head.timestamp + NEXT_S,
        base_fee=0,
        overrides={},
    )
    return int_at(done[-1].return_data, 2) > 0


async def test_it_is_liquidated_in_the_first_block_that_lets_it_be(
    capped: Capped, tmp_path: Path
) -> None:
    await cap_below(capped)
    settings, rpc = capped.settings(tmp_path), capped.node.live.live.rpc
    signer = LocalSigner(parse_key(KEEPER_KEY), chain_id=settings.chain.chain_id)
    stop, opened = asyncio.Event(), list[int]()
    async with (
        keeper_session(settings, Heard(), signer=lambda: [signer]) as session,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(session.keeper.run(session.head, stop))
        for number in range(session.head.number, session.head.number + BLOCKS):
            await dealt_with(session.keeper, rpc)
            if await is_under_next(session, capped.node):
                opened.append(number + 1)
            await asyncio.to_thread(rpc.call, "evm_mine")
        stop.set()
        await mine_until(running.done, session.keeper, rpc, pace_s=0.1)
    landed = [one for one in read_books(settings.database).entries if one.account == BORROWER]
    assert opened[0] > session.head.number + 4
    assert [(one.status, one.block) for one in landed[:1]] == [(Status.LANDED, opened[0])]
