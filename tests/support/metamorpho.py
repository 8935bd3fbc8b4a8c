"""A vault of Morpho's own making, MetaMorpho, that lends in a market of the adaptive rate model."""

from collections.abc import Mapping

from keeper.core.units import BPS, MAX_UINT256, ZERO_ADDRESS, Address
from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.morpho import market_id
from keeper.devnet.morpho_contracts import copied_sources, morpho_artifacts
from keeper.devnet.packages import ensure
from keeper.devnet.prices import oracle_prices
from keeper.devnet.sender import Sender
from keeper.devnet.solc import Settings
from keeper.devnet.tokens import fund

FEE = 10**17
"""Of the vault's interest, that it mints shares of to itself."""
LENT_BPS = 5_000
_LLTV = 86 * 10**16
_TIMELOCK_S = 86_400


Params = tuple[Address, Address, Address, Address, int]


def metamorpho_artifacts() -> Mapping[str, Artifact]:
    """Compile the vault, once."""
    more = {"@openzeppelin/contracts/": ensure("openzeppelin-contracts")}
    program = Program(
        name="metamorpho",
        label="MetaMorpho",
        sources=copied_sources("domains/metamorpho/contracts/MetaMorpho.sol", more),
        settings=Settings(optimizer_runs=200, evm_version="paris"),
        contracts=("MetaMorpho",),
    )
    return ensure_compiled(program)


def lending_vault(
    owner: Sender, supplier: Sender, live: LiveMarket, morpho: Contract, amount: int
) -> Contract:
    """Deploy a vault of WETH, deposit, and let the supplier borrow half of it against dollars.

    ``owner`` owns Morpho and the vault. A day passes: the vault's caps have a timelock.
    """
    params = _market(owner, live, morpho)
    code = metamorpho_artifacts()["MetaMorpho"]
    weth = live.tokens["WETH"]
    vault = owner.deploy(
        code, owner.account, morpho.address, _TIMELOCK_S, weth.address, "Lending", "mmWETH"
    )
    owner.call(vault, "submitCap", params, 10**30)
    owner.call(vault, "setFeeRecipient", live.market.accounts.treasury)
    owner.call(vault, "setFee", FEE)
    owner.mine()
    now = int(live.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    live.rpc.call("evm_setNextBlockTimestamp", now + _TIMELOCK_S)
    owner.call(vault, "acceptCap", params)
    owner.call(vault, "setSupplyQueue", [bytes.fromhex(market_id(params)[2:])])
    owner.mine()
    fund(supplier, live.tokens, supplier.account, {"WETH": amount})
    supplier.call(weth, "approve", vault.address, MAX_UINT256)
    supplier.call(vault, "deposit", amount, supplier.account)
    supplier.mine()
    _borrow(supplier, live, morpho, params, amount * LENT_BPS // BPS)
    return vault


def _market(owner: Sender, live: LiveMarket, morpho: Contract) -> tuple[str, str, str, str, int]:
    made = morpho_artifacts()
    model = owner.deploy(made["AdaptiveCurveIrm"], morpho.address)
    owner.call(morpho, "enableIrm", model.address)
    base, quote = live.market.asset("USDC"), live.market.asset("WETH")
    oracle = owner.deploy(
        made["FeedPairOracle"],
        (ZERO_ADDRESS, 1, base.feed, ZERO_ADDRESS, base.decimals),
        (ZERO_ADDRESS, 1, quote.feed, ZERO_ADDRESS, quote.decimals),
    )
    params = (quote.token, base.token, oracle.address, model.address, _LLTV)
    owner.call(morpho, "createMarket", params)
    owner.mine()
    return params


def _borrow(
    supplier: Sender, live: LiveMarket, morpho: Contract, params: Params, amount: int
) -> None:
    """Borrow against four times its worth."""
    who, prices = supplier.account, oracle_prices(live)
    held = 4 * amount * prices["WETH"] // prices["USDC"] // 10**12
    fund(supplier, live.tokens, who, {"USDC": held})
    supplier.call(live.tokens["USDC"], "approve", morpho.address, MAX_UINT256)
    supplier.call(morpho, "supplyCollateral", params, held, who, b"")
    supplier.call(morpho, "borrow", params, amount, 0, who, who)
    supplier.mine()
