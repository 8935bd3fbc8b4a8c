"""Build Morpho Blue on the local market: markets, suppliers and borrowers, all genuine."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.build import BUILD_GAS_LIMIT, settle_node
from keeper.devnet.contract import Artifact, Contract, create_address
from keeper.devnet.live import LiveMarket
from keeper.devnet.morpho_contracts import morpho_artifacts
from keeper.devnet.morpho_specs import (
    FIXED_RATE,
    MORPHO_MARKETS,
    Model,
    MorphoLoan,
    MorphoSpec,
    draw_loans,
    supply_of,
)
from keeper.devnet.packages import Progress, quiet
from keeper.devnet.sender import Sender, read_all
from keeper.devnet.tokens import fund
from keeper.evm.hashing import keccak_hash
from keeper.evm.words import word_of_address, word_of_int

EARLY_TERMS: Final = (80 * 10**16, 10**17, 5 * 10**17, 101 * 10**16, 104 * 10**16)
"""Threshold, close factors and incentives of the early liquidation contracts, wads."""

_BPS_WAD: Final = 10**14
_OPEN_GAS: Final = 100_000_000
_PER_TRANSACTION: Final = 50
_FIRST_CLONE_NONCE: Final = 2
_FACTORY_GAS: Final = 16_000_000


class LocalIsolated(Struct, frozen=True, kw_only=True):
    """A market that was created."""

    id: str
    params: tuple[Address, Address, Address, Address, int]
    """As Morpho takes them: loan, collateral, oracle, rate model, LLTV."""
    spec: MorphoSpec
    early: Address | None


class LocalMorpho(Struct, frozen=True, kw_only=True):
    """Morpho Blue on the local market, as contracts to call."""

    live: LiveMarket
    artifacts: Mapping[str, Artifact]
    morpho: Contract
    factory: Contract
    """Of early liquidation contracts."""
    borrower_factory: Contract
    markets: tuple[LocalIsolated, ...]
    borrowers: tuple[tuple[Address, int], ...]
    """Account and the place of its market."""
    start_block: int


def build_morpho(
    live: LiveMarket,
    *,
    seed: int,
    borrowers: int,
    progress: Progress = quiet,
    loans: Sequence[MorphoLoan] | None = None,
) -> LocalMorpho:
    """Deploy Morpho on a built market and fill it; the node mines on every transaction again.

    ``loans`` takes the place of the population that ``seed`` and ``borrowers`` draw.
    """
    artifacts = morpho_artifacts(progress)
    progress("deploying Morpho Blue, its markets and borrowers")
    rpc = live.rpc
    rpc.batch([("evm_setAutomine", [False]), ("evm_setBlockGasLimit", [hex(BUILD_GAS_LIMIT)])])
    start_block = int(rpc.call("eth_blockNumber"), 16)
    owner = Sender.of(rpc, live.market.accounts.deployer)
    made = _deploy(owner, live, artifacts, start_block)
    opened = draw_loans(seed, borrowers) if loans is None else loans
    _supply(live, made, opened)
    made = _open(owner, made, opened)
    _consent(owner, made)
    settle_node(rpc)
    progress(f"Morpho Blue ready: {len(made.borrowers):,} borrowers")
    return made


def liquidatable(local: LocalMorpho) -> list[Address]:
    """Return the borrowers that Morpho itself would let anybody liquidate now."""
    found: list[Address] = []
    for place in range(len(local.markets)):
        accounts = [account for account, market in local.borrowers if market == place]
        (flags,) = read_all(
            local.live.rpc, [(local.borrower_factory, "liquidatable", (place, accounts))]
        )
        found += [account for account, flag in zip(accounts, flags, strict=True) if flag]
    return found


def _deploy(
    owner: Sender, live: LiveMarket, artifacts: Mapping[str, Artifact], start_block: int
) -> LocalMorpho:
    morpho = owner.deploy(artifacts["Morpho"], owner.account)
    models = {
        Model.NONE: ZERO_ADDRESS,
        Model.ADAPTIVE: owner.deploy(artifacts["AdaptiveCurveIrm"], morpho.address).address,
        Model.FIXED: owner.deploy(artifacts["FixedRateModel"]).address,
        Model.ODD: owner.deploy(artifacts["OddRateModel"]).address,
    }
    for model in models.values():
        owner.call(morpho, "enableIrm", model)
    for lltv in sorted({spec.lltv_bps for spec in MORPHO_MARKETS}):
        owner.call(morpho, "enableLltv", lltv * _BPS_WAD)
    owner.call(morpho, "setFeeRecipient", live.market.accounts.treasury)
    factory = owner.deploy(artifacts["EarlyLiquidationFactory"], morpho.address)
    owner.mine()
    markets = tuple(
        _create(owner, live, artifacts, spec, (morpho, factory, models)) for spec in MORPHO_MARKETS
    )
    params = [one.params for one in markets]
    borrower_factory = owner.deploy(artifacts["MorphoBorrowers"], morpho.address, params)
    owner.mine()
    return LocalMorpho(
        live=live,
        artifacts=artifacts,
        morpho=morpho,
        factory=factory,
        borrower_factory=borrower_factory,
        markets=markets,
        borrowers=(),
        start_block=start_block,
    )


def _create(
    owner: Sender,
    live: LiveMarket,
    artifacts: Mapping[str, Artifact],
    spec: MorphoSpec,
    around: tuple[Contract, Contract, Mapping[Model, Address]],
) -> LocalIsolated:
    """Queue a market with an oracle of its own."""
    morpho, factory, models = around
    oracle = owner.deploy(
        artifacts["FeedPairOracle"], _side(live, spec.collateral), _side(live, spec.loan)
    ).address
    loan, collateral = (live.tokens[symbol].address for symbol in (spec.loan, spec.collateral))
    params = (loan, collateral, oracle, models[spec.model], spec.lltv_bps * _BPS_WAD)
    key = market_id(params)
    if spec.model is Model.FIXED:
        model = Contract(artifact=artifacts["FixedRateModel"], address=models[spec.model])
        owner.call(model, "setBorrowRate", bytes.fromhex(key[2:]), FIXED_RATE)
    owner.call(morpho, "createMarket", params)
    if spec.fee_bps:
        owner.call(morpho, "setFee", params, spec.fee_bps * _BPS_WAD)
    early = None
    if spec.early:
        # The factory's first contract: its address follows from the factory's nonce.
        early = create_address(factory.address, 1)
        terms = (*EARLY_TERMS, oracle)
        owner.call(factory, "createPreLiquidation", bytes.fromhex(key[2:]), terms)
    return LocalIsolated(id=key, params=params, spec=spec, early=early)


def market_id(params: tuple[Address, Address, Address, Address, int]) -> str:
    """Return the id of market parameters."""
    *parties, lltv = params
    return keccak_hash(b"".join((*map(word_of_address, parties), word_of_int(lltv))))


def _side(live: LiveMarket, symbol: str) -> tuple[object, ...]:
    """Return one side of an oracle: no vault, the asset's dollar feed, its decimals."""
    asset = live.market.asset(symbol)
    return (ZERO_ADDRESS, 1, asset.feed, ZERO_ADDRESS, asset.decimals)


def _supply(live: LiveMarket, made: LocalMorpho, loans: Sequence[MorphoLoan]) -> None:
    """Lend to every market what its utilization asks for, and keep tokens to act with."""
    supplier = Sender.of(live.rpc, live.market.accounts.supplier)
    for symbol in ASSETS:
        supplier.call(live.tokens[symbol], "approve", made.morpho.address, MAX_UINT256)
    for place, one in enumerate(made.markets):
        amount = supply_of(loans, place)
        fund(supplier, live.tokens, supplier.account, {one.spec.loan: 3 * amount})
        supplier.call(made.morpho, "supply", one.params, amount, 0, supplier.account, b"")
    supplier.mine()


def _open(owner: Sender, made: LocalMorpho, loans: Sequence[MorphoLoan]) -> LocalMorpho:
    """Open the positions and return the deployment with its borrowers."""
    needed: dict[str, int] = {}
    for loan in loans:
        symbol = made.markets[loan.market].spec.collateral
        needed[symbol] = needed.get(symbol, 0) + loan.collateral
    fund(owner, made.live.tokens, made.borrower_factory.address, needed)
    for at in range(0, len(loans), _PER_TRANSACTION):
        rows = b"".join(_row(loan) for loan in loans[at : at + _PER_TRANSACTION])
        data = made.borrower_factory.encode("open", rows)
        owner.add("open loans", to=made.borrower_factory.address, data=data, gas=_OPEN_GAS)
    owner.mine()
    borrowers = tuple(
        (create_address(made.borrower_factory.address, _FIRST_CLONE_NONCE + number), loan.market)
        for number, loan in enumerate(loans)
    )
    return LocalMorpho(
        live=made.live,
        artifacts=made.artifacts,
        morpho=made.morpho,
        factory=made.factory,
        borrower_factory=made.borrower_factory,
        markets=made.markets,
        borrowers=borrowers,
        start_block=made.start_block,
    )


def _consent(owner: Sender, made: LocalMorpho) -> None:
    """Let every other borrower of a market with early liquidation authorise it."""
    for number, (account, place) in enumerate(made.borrowers):
        early = made.markets[place].early
        if early is None or number % 2:
            continue
        data = made.morpho.encode("setAuthorization", early, True)
        owner.call(made.borrower_factory, "execute", account, made.morpho.address, data)
    owner.mine()


def _row(loan: MorphoLoan) -> bytes:
    amounts = (loan.collateral, loan.debt)
    return bytes((loan.market,)) + b"".join(one.to_bytes(16, "big") for one in amounts)
