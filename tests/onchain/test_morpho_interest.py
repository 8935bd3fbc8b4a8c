"""Interest by the rules is what Morpho charges by its own adaptive rate model, to the wei."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from keeper.core.units import YEAR, Address
from keeper.devnet.contract import Contract
from keeper.devnet.morpho import LocalIsolated, LocalMorpho, market_id
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, read_all
from keeper.devnet.tokens import fund
from keeper.evm.hashing import keccak_hash
from keeper.protocols.morpho_blue import irm, rules
from keeper.protocols.morpho_blue.rules import Totals
from tests.support.market_node import MarketNode
from tests.support.morpho_scene import morpho_node

MILLION = 10**6
MOST = 2**128 - 1
FAR_FUTURE = 2**32
LONGEST_S = 30 * YEAR
COLLATERAL = 10**26
PLENTY = 10**30
PLACES = (0, 1)
"""Markets with the model: of a loan with 6 decimals and a fee, and of one with 18 and none."""
SEEN: dict[str, int] = {"rates": 0, "steps": 0}

chance = settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def local(
    anvil_binary: Path, local_market: MarketNode, parity_report: list[str]
) -> Iterator[LocalMorpho]:
    with morpho_node(anvil_binary, local_market, borrowers=20) as (_, made):
        pledge(made)
        yield made
    parity_report.append(
        f"AdaptiveCurveIrm: {SEEN['rates']} rates, {SEEN['steps']} steps of a market"
    )


def pledge(made: LocalMorpho) -> None:
    """Let the supplier borrow whatever there is."""
    live, who = made.live, made.live.market.accounts.supplier
    live.rpc.call("anvil_setBalance", who, hex(2 * PLENTY))
    sender = Sender.of(live.rpc, who)
    for one in (made.markets[place] for place in PLACES):
        loan, collateral = one.spec.loan, one.spec.collateral
        fund(sender, live.tokens, who, {loan: PLENTY, collateral: COLLATERAL})
        sender.call(made.morpho, "supplyCollateral", one.params, COLLATERAL, who, b"")
    sender.mine()


def rate_model(made: LocalMorpho) -> Contract:
    return Contract(artifact=made.artifacts["AdaptiveCurveIrm"], address=made.markets[0].params[3])


class Called(NamedTuple):
    """A call of a contract by somebody."""

    contract: Contract
    sender: Address
    function: str
    arguments: tuple[object, ...]

    def body(self) -> dict[str, str]:
        data = self.contract.encode(self.function, *self.arguments)
        return {"from": self.sender, "to": self.contract.address, "data": "0x" + data.hex()}

    def answer(self, data: str) -> tuple[Any, ...]:
        return self.contract.artifact.decode(self.function, bytes.fromhex(data[2:]))


# --- the model by itself ----------------------------------------------------------------------


class Asked(NamedTuple):
    """What a rate follows from."""

    supplied: int
    borrowed: int
    rate_at_target: int
    seconds: int


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    supplied = draw(st.one_of(st.integers(0, 10**7), st.integers(0, MOST)))
    near = supplied * 9 // 10
    borrowed = draw(
        st.one_of(
            st.integers(0, supplied),
            st.integers(min(near, supplied), min(near + 2, supplied)),
        )
    )
    stored = st.integers(irm.MIN_RATE_AT_TARGET, irm.MAX_RATE_AT_TARGET)
    seconds = st.one_of(st.integers(0, 100), st.integers(0, 10**7), st.integers(0, LONGEST_S))
    return Asked(supplied, borrowed, draw(st.one_of(st.just(0), stored)), draw(seconds))


@chance
@given(asked=st.lists(questions(), min_size=20, max_size=40))
def test_the_adaptive_rate_is_the_models_own(local: LocalMorpho, asked: list[Asked]):
    model, morpho = rate_model(local), local.morpho.address
    stored, calls = {}, []
    for number, one in enumerate(asked):
        params = (*local.markets[0].params[:4], number)
        key = market_id(params)
        stored[storage_slot(key)] = f"0x{one.rate_at_target:064x}"
        market = (one.supplied, 1, one.borrowed, 1, FAR_FUTURE - one.seconds, 0)
        calls.append(Called(model, morpho, "borrowRate", (params, market)))
        calls.append(Called(model, morpho, "rateAtTarget", (bytes.fromhex(key[2:]),)))
    kept = {model.address: {"stateDiff": stored}}
    (answers,) = simulated(local.live.rpc, [(FAR_FUTURE, calls)], kept)
    assert [(*rate, *end) for rate, end in zip(answers[::2], answers[1::2], strict=True)] == [
        irm.adaptive_rate(
            one.supplied, one.borrowed, rate_at_target=one.rate_at_target, seconds=one.seconds
        )
        for one in asked
    ]
    SEEN["rates"] += len(asked)


def storage_slot(key: str) -> str:
    """Return where the model keeps the rate of a market."""
    return keccak_hash(bytes.fromhex(key[2:]) + bytes(32))


# --- the model in a market --------------------------------------------------------------------


class Step(NamedTuple):
    """What is done, after how long, with how much of what is possible."""

    wait_s: int
    action: str
    share: int
    """Of a million."""


STEPS = st.builds(
    Step,
    wait_s=st.one_of(st.integers(1, 100), st.integers(1, 10**5), st.integers(1, YEAR // 8)),
    action=st.sampled_from(["supply", "withdraw", "borrow", "borrow", "repay", "accrueInterest"]),
    share=st.integers(0, 10**6),
)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """A market as the rules alone have it, and the shares that one account has in it."""

    totals: Totals
    updated: int
    fee: int
    rate_at_target: int
    supplied: int
    owed: int

    def accrue(self, now: int) -> None:
        seconds, (supplied, _, borrowed, _) = now - self.updated, self.totals
        rate, self.rate_at_target = irm.adaptive_rate(
            supplied, borrowed, rate_at_target=self.rate_at_target, seconds=seconds
        )
        self.totals = rules.accrued(self.totals, rate=rate, fee=self.fee, seconds=seconds)
        self.updated = now

    def act(self, step: Step) -> int:
        """Do what is possible of a step, and return how much it was."""
        supplied, supply_shares, borrowed, borrow_shares = self.totals
        cash = supplied - borrowed
        if step.action in ("supply", "withdraw"):
            most = min(cash, rules.to_assets_floor(self.supplied, supplied, supply_shares))
            amount = (supplied if step.action == "supply" else most) * step.share // MILLION
            shares = rules.to_shares_floor(amount, supplied, supply_shares)
            if step.action == "withdraw":
                amount, shares = -amount, -rules.to_shares_ceil(amount, supplied, supply_shares)
            self.supplied += shares
            self.totals = Totals(supplied + amount, supply_shares + shares, *self.totals[2:])
        elif step.action in ("borrow", "repay"):
            most = min(borrowed, rules.to_assets_floor(self.owed, borrowed, borrow_shares))
            amount = (cash if step.action == "borrow" else most) * step.share // MILLION
            shares = rules.to_shares_ceil(amount, borrowed, borrow_shares)
            if step.action == "repay":
                amount, shares = -amount, -rules.to_shares_floor(amount, borrowed, borrow_shares)
            self.owed += shares
            self.totals = Totals(*self.totals[:2], borrowed + amount, borrow_shares + shares)
        else:
            amount = 0
        return abs(amount)


@chance
@given(place=st.sampled_from(PLACES), steps=st.lists(STEPS, min_size=5, max_size=25))
def test_a_market_that_nobody_reads_again_stays_what_the_rules_make_of_it(
    local: LocalMorpho, place: int, steps: list[Step]
):
    """Not a figure is taken over from the chain between the first step and the last."""
    rpc, one = local.live.rpc, local.markets[place]
    ledger = opening(local, one)
    now = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    blocks, expected = [], []
    for step in steps:
        now += step.wait_s
        ledger.accrue(now)
        amount = ledger.act(step)
        blocks.append((now, [*acted(local, one, step.action, amount), *asked_for(local, one)]))
        expected.append(((*ledger.totals, now, ledger.fee), (ledger.rate_at_target,)))
    answers = simulated(rpc, blocks)
    assert [(market, rate) for *_, market, rate in answers] == expected
    SEEN["steps"] += len(steps)


def opening(local: LocalMorpho, one: LocalIsolated) -> Ledger:
    """Return the market as it is stored at the head, and what the supplier has in it."""
    key, who = bytes.fromhex(one.id[2:]), local.live.market.accounts.supplier
    market, position, rate = read_all(
        local.live.rpc,
        [
            (local.morpho, "market", (key,)),
            (local.morpho, "position", (key, who)),
            (rate_model(local), "rateAtTarget", (key,)),
        ],
    )
    *totals, updated, fee = market
    supplied, owed, _ = position
    return Ledger(
        totals=Totals(*totals),
        updated=updated,
        fee=fee,
        rate_at_target=rate,
        supplied=supplied,
        owed=owed,
    )


def acted(local: LocalMorpho, one: LocalIsolated, action: str, amount: int) -> list[Called]:
    """Return the calls that make a step: none where Morpho takes no nought, but the accrual."""
    morpho, who = local.morpho, local.live.market.accounts.supplier
    if not amount:
        return [Called(morpho, who, "accrueInterest", (one.params,))]
    receiver = who if action in ("withdraw", "borrow") else b""
    return [Called(morpho, who, action, (one.params, amount, 0, who, receiver))]


def asked_for(local: LocalMorpho, one: LocalIsolated) -> list[Called]:
    """Return the questions after a step."""
    key, who = bytes.fromhex(one.id[2:]), local.live.market.accounts.supplier
    return [
        Called(local.morpho, who, "market", (key,)),
        Called(rate_model(local), who, "rateAtTarget", (key,)),
    ]


# --- simulated blocks -------------------------------------------------------------------------


def simulated(
    rpc: Rpc,
    blocks: Sequence[tuple[int, Sequence[Called]]],
    overrides: Mapping[str, object] | None = None,
) -> list[list[tuple[Any, ...]]]:
    """Return what each call of each block answers, decoded; each must succeed."""
    states = [
        {
            "blockOverrides": {"time": hex(time), "baseFeePerGas": "0x0"},
            "stateOverrides": overrides or {},
            "calls": [one.body() for one in calls],
        }
        for time, calls in blocks
    ]
    answered = rpc.call("eth_simulateV1", {"blockStateCalls": states}, "latest")
    found = []
    for (_, calls), block in zip(blocks, answered, strict=True):
        results = list(zip(calls, block["calls"], strict=True))
        assert [(one.function, said) for one, said in results if said["status"] != "0x1"] == []
        found.append([one.answer(said["returnData"]) for one, said in results])
    return found
