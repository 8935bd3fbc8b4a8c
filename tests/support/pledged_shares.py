"""Morpho Blue with vault shares and aTokens as collateral, on a local market.

The vaults are OpenZeppelin's ``ERC4626``, MetaMorpho and Aave's, the aTokens those of the local
Aave V3, Morpho is its published source; only the oracle's contract is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keeper.chain.session import Chain
from keeper.core.ports import Unwinder
from keeper.core.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.devnet.aave_v36_source import program_of
from keeper.devnet.assets import ASSETS
from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.morpho import market_id
from keeper.devnet.morpho_contracts import morpho_artifacts
from keeper.devnet.packages import ensure
from keeper.devnet.prices import move_market
from keeper.devnet.sender import Sender, read
from keeper.devnet.solc import Settings
from keeper.devnet.source_tree import gather_sources
from keeper.devnet.tokens import fund
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.registry import adapter_for
from keeper.venues.unwinding.atoken import ATokenUnwinder
from keeper.venues.unwinding.erc4626 import VaultUnwinder
from tests.support.executor_stage import RECIPIENT, deploy, executor_artifact
from tests.support.market_node import MarketNode
from tests.support.metamorpho import lending_vault

LLTV = 86 * 10**16
DOLLARS = 40_000
"""Worth of each collateral."""
FALL_BPS = {"WBTC": 9_000, "WETH": 9_500}
_USED_BPS = 8_400
"""Of the collateral's value that is borrowed."""
STATIC_SINCE = "3.6"
"""The release that comes with vaults over aTokens."""
LENDING_GAS = 250_000
VAULTS = ("PlainVault", "FeeVault", "MoodyVault")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledge:
    """A market of Morpho, with one loan against a collateral that no pool trades."""

    name: str
    share: Contract
    underlying: str
    """Symbol."""
    loan: str
    """Symbol."""
    key: str = ""
    """The market's id."""
    kind: str = "erc4626"
    """``erc4626``, ``atoken``, or empty for a token that pools trade."""

    gas: int = 100_000
    """Of redeeming a vault's shares."""

    @property
    def is_vault(self) -> bool:
        return self.kind == "erc4626"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledged:
    """All pledges on one node, and the executor that liquidates them."""

    node: MarketNode
    morpho: Contract
    executor: Contract
    start_block: int
    pledges: Mapping[str, Pledge]

    @property
    def live(self) -> LiveMarket:
        return self.node.live

    @property
    def borrower(self) -> Address:
        return self.node.market.accounts.supplier

    def adapter(self) -> MorphoAdapter:
        adapter = adapter_for(
            "morpho_blue",
            deployment="morpho_blue.local",
            start_block=self.start_block,
            parameters={"morpho": self.morpho.address},
        )
        assert isinstance(adapter, MorphoAdapter)
        return adapter

    @property
    def redeemed(self) -> list[Pledge]:
        """The pledges that have to be redeemed, one of each share."""
        return list({one.share.address: one for one in self.pledges.values() if one.kind}.values())

    def unwinders(self, chain: Chain) -> list[Unwinder]:
        return [self.unwinder(chain, one) for one in self.redeemed]

    def unwinder(self, chain: Chain, one: Pledge) -> Unwinder:
        share = one.share.address
        if not one.is_vault:
            return ATokenUnwinder(chain.reader, share=share, gas=180_000)
        holders = (self.morpho.address,)
        return VaultUnwinder(chain.reader, share=share, holders=holders, gas=one.gas)

    def do(self, contract: Contract, function: str, *arguments: object) -> None:
        """Send a transaction of the deployer."""
        sender = Sender.of(self.live.rpc, self.node.market.accounts.deployer)
        sender.call(contract, function, *arguments)
        sender.mine()


def vault_artifacts() -> Mapping[str, Artifact]:
    """Compile the vaults on OpenZeppelin's sources, once."""
    ours = Path(__file__).parent / "vaults"
    folders = {"@openzeppelin/contracts/": ensure("openzeppelin-contracts"), "vaults/": ours}
    program = Program(
        name="vaults",
        label="vaults",
        sources=gather_sources(("vaults/Vaults.sol",), folders, {}),
        settings=Settings(evm_version="cancun"),
        contracts=VAULTS,
    )
    return ensure_compiled(program)


def static_token_artifacts() -> Mapping[str, Artifact]:
    """Compile the vault over aTokens of Aave 3.6, once."""
    places = ("extensions/stata-token/StataTokenV2", "rewards/RewardsController")
    proxy = "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol"
    folders = {"@openzeppelin/contracts/": ensure("openzeppelin-contracts")}
    program = Program(
        name="proxy",
        label="a proxy",
        sources=gather_sources((proxy,), folders, {}),
        settings=Settings(evm_version="cancun"),
        contracts=("ERC1967Proxy",),
    )
    vault = program_of("static-token", "Aave's static tokens", places)
    return {**ensure_compiled(program), **ensure_compiled(vault)}


def pledged(node: MarketNode) -> Pledged:
    """Build everything on a node, and let prices fall until each loan may be liquidated."""
    live, rpc = node.live, node.live.rpc
    who = node.market.accounts
    owner, supplier = (Sender.of(rpc, one) for one in (who.deployer, who.supplier))
    start_block = int(rpc.call("eth_blockNumber"), 16)
    around = morpho_artifacts()
    morpho = owner.deploy(around["Morpho"], who.deployer)
    owner.call(morpho, "enableIrm", ZERO_ADDRESS)
    owner.call(morpho, "enableLltv", LLTV)
    owner.mine()
    pledges = {}
    for one in _shares(owner, supplier, live, morpho):
        key = _open(supplier, morpho, live, one, around["FeedPairOracle"])
        pledges[one.name] = replace(one, key=key)
    move_market(live, {n: ASSETS[n].price * by // 10_000 for n, by in FALL_BPS.items()})
    lossy = pledges["same"].share
    owner = Sender.of(rpc, who.deployer)
    owner.call(lossy, "lose", read(rpc, lossy, "totalAssets") // 40)
    owner.mine()
    executor = deploy(rpc, who.deployer, executor_artifact(), who.deployer, [who.keeper], RECIPIENT)
    return Pledged(
        node=node, morpho=morpho, executor=executor, start_block=start_block, pledges=pledges
    )


def _shares(owner: Sender, supplier: Sender, live: LiveMarket, morpho: Contract) -> list[Pledge]:
    """Make shares of every kind, all of them the supplier's."""
    vaults = vault_artifacts()
    kinds = (
        ("plain", "PlainVault", "WBTC", "USDC", (0,)),
        ("offset", "PlainVault", "WBTC", "DAI", (10,)),
        ("native", "PlainVault", "WETH", "USDC", (0,)),
        ("same", "MoodyVault", "WBTC", "WBTC", ()),
        ("for ether", "PlainVault", "WBTC", "WETH", (0,)),
        ("fee", "FeeVault", "WBTC", "USDC", ()),
        ("moody", "MoodyVault", "WBTC", "USDC", ()),
    )
    made = []
    for name, kind, underlying, loan, arguments in kinds:
        token = live.tokens[underlying]
        vault = owner.deploy(vaults[kind], token.address, *arguments)
        owner.mine()
        _fill(supplier, live, vault, underlying)
        made.append(Pledge(name=name, share=vault, underlying=underlying, loan=loan))
    for first in ("plain", "moody"):
        twin = next(one for one in made if one.name == first)
        made.append(replace(twin, name=f"{first} twin", loan="DAI"))
    vault = lending_vault(owner, supplier, live, morpho, _raw("WETH", 3 * DOLLARS))
    made.append(
        Pledge(name="lending", share=vault, underlying="WETH", loan="USDC", gas=LENDING_GAS)
    )
    if live.market.aave == STATIC_SINCE:
        vault = _static_token(owner, live, "WETH")
        _fill(supplier, live, vault, "WETH")
        made.append(Pledge(name="static", share=vault, underlying="WETH", loan="USDC"))
    made.append(
        Pledge(name="bare", share=live.tokens["WETH"], underlying="WETH", loan="USDC", kind="")
    )
    for name, loan in (("WBTC", "USDC"), ("WETH", "DAI")):
        amount = _raw(name, 3 * DOLLARS)
        fund(supplier, live.tokens, supplier.account, {name: amount})
        supplier.call(live.tokens[name], "approve", live.pool.address, MAX_UINT256)
        supplier.call(
            live.pool,
            "supply(address,uint256,address,uint16)",
            live.tokens[name].address,
            amount,
            supplier.account,
            0,
        )
        supplier.mine()
        share = live.a_tokens[name]
        made.append(Pledge(name=f"a{name}", share=share, underlying=name, loan=loan, kind="atoken"))
    return made


def _static_token(owner: Sender, live: LiveMarket, symbol: str) -> Contract:
    """Deploy Aave's own vault over its aToken, whose price grows by the second."""
    made = static_token_artifacts()
    rewards = owner.deploy(made["RewardsController"], owner.account)
    code = owner.deploy(made["StataTokenV2"], live.market.pool, rewards.address)
    begin = code.encode("initialize", live.market.asset(symbol).a_token, "static", f"stata{symbol}")
    proxy = owner.deploy(made["ERC1967Proxy"], code.address, begin)
    owner.mine()
    return Contract(artifact=code.artifact, address=proxy.address)


def _fill(supplier: Sender, live: LiveMarket, vault: Contract, symbol: str) -> None:
    """Deposit, and add a yield that leaves no round price."""
    token, amount = live.tokens[symbol], _raw(symbol, 3 * DOLLARS)
    fund(supplier, live.tokens, supplier.account, {symbol: 2 * amount})
    supplier.call(token, "approve", vault.address, MAX_UINT256)
    supplier.call(vault, "deposit", amount, supplier.account)
    supplier.call(token, "transfer", vault.address, amount // 13 + 7)
    supplier.mine()


def _open(
    supplier: Sender, morpho: Contract, live: LiveMarket, one: Pledge, oracle: Artifact
) -> str:
    """Create the market and borrow in it; return its id."""
    rpc, collateral, loan = live.rpc, one.share, live.tokens[one.loan]
    sample, worth = 1, 1
    if one.is_vault:
        sample = 10 ** read(rpc, collateral, "decimals")
        worth = read(rpc, collateral, "convertToAssets", sample)
    vault = collateral.address if one.is_vault else ZERO_ADDRESS
    base, quote = live.market.asset(one.underlying), live.market.asset(one.loan)
    where = supplier.deploy(
        oracle,
        (vault, sample, base.feed, ZERO_ADDRESS, base.decimals),
        (ZERO_ADDRESS, 1, quote.feed, ZERO_ADDRESS, quote.decimals),
    )
    params = (loan.address, collateral.address, where.address, ZERO_ADDRESS, LLTV)
    held = _raw(one.underlying, DOLLARS) * sample // worth
    debt = _raw(one.loan, DOLLARS) * _USED_BPS // 10_000
    if one.loan == one.underlying:
        # The price of the pair cannot fall: the vault makes a loss instead.
        debt = _raw(one.loan, DOLLARS) * 8_500 // 10_000
    fund(supplier, live.tokens, supplier.account, {one.loan: 2 * debt})
    supplier.call(loan, "approve", morpho.address, MAX_UINT256)
    supplier.call(collateral, "approve", morpho.address, MAX_UINT256)
    supplier.call(morpho, "createMarket", params)
    supplier.call(morpho, "supply", params, 2 * debt, 0, supplier.account, b"")
    supplier.call(morpho, "supplyCollateral", params, held, supplier.account, b"")
    supplier.call(morpho, "borrow", params, debt, 0, supplier.account, supplier.account)
    supplier.mine()
    return market_id(params)


def _raw(symbol: str, dollars: int) -> int:
    asset = ASSETS[symbol]
    raw: int = dollars * 10 ** (8 + asset.decimals) // asset.price
    return raw
