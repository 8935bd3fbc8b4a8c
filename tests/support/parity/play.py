"""Let steps happen to a market, and compare the adapter with the contracts after every block."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from keeper.core.lending import AccountRef
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.protocols.aave_v3.refusals import Refusal
from keeper.protocols.aave_v3.state import AaveMarket
from tests.support.aave_scene import Look, Scene, differences, pairs_of
from tests.support.parity.foretelling import (
    EVERYTHING,
    Offer,
    Outcome,
    Verdict,
    foretell,
    is_refused_as,
    logs_of,
    outcome_of,
    try_out,
)
from tests.support.parity.second_oracle import ask_provider, hold_against
from tests.support.parity.stage import BLOCK_S, Stage
from tests.support.parity.tally import Tally
from tests.support.parity.user_steps import ALL_OF_IT, Donate, Liquidate

_SICK_TRIED = 6
_WELL_TRIED = 5
_COLD_EVERY = 4
_SECOND_OPINIONS = 30
_LATE_S = 300


class Step(Protocol):
    """Something that happens in a block together with others."""

    def queue(self, stage: Stage) -> None: ...


Block = Liquidate | Sequence[Step]


@dataclass(slots=True, kw_only=True)
class Play:
    """One run of a program on a market."""

    stage: Stage
    scene: Scene
    tally: Tally
    look: Look

    @classmethod
    async def begin(cls, stage: Stage, scene: Scene, tally: Tally) -> "Play":
        look = await scene.look(_cast(stage))
        return cls(stage=stage, scene=scene, tally=tally, look=look)

    async def advance(self, block: Block) -> None:
        """Let a block happen; compare everything after it. Nothing happens in an empty one."""
        if block == []:
            return
        self._show_stage()
        if isinstance(block, Liquidate):
            self._liquidate(block)
        else:
            for step in block:
                step.queue(self.stage)
            self.stage.mine(self.look.block.timestamp + self.stage.wait_s)
        await self._compare()
        if not isinstance(block, Liquidate) and any(isinstance(one, Donate) for one in block):
            # A gift has no event of the pool: its cash is known when the reserve is next read.
            self.look = await self.scene.look(self.look.positions)
        self._judge_offers()
        self._ask_second_oracle()

    def _show_stage(self) -> None:
        view = self._view(0)
        legs = self.scene.adapter.legs
        self.stage.legs = {r.account: legs(view, p) for r, p in self.look.positions.items()}
        assets = self.stage.live.market.assets
        self.stage.prices = {a.symbol: self.look.prices[a.token].value for a in assets}
        self.stage.cash = {r.symbol: r.cash for r in view.reserves if r is not None}

    def _view(self, seconds: int) -> AaveMarket:
        """Return the market as it will be so much later."""
        timestamp = self.look.block.timestamp + seconds
        return self.scene.adapter.at(self.look.market, timestamp=timestamp, prices=self.look.prices)

    async def _compare(self) -> None:
        self.look = await self.scene.follow(self.look)
        assert await differences(self.scene, self.look) == []
        self.tally.blocks += 1
        self.tally.accounts += len(self.look.positions)
        if self.tally.blocks % _COLD_EVERY == 0:
            await self.end()

    async def end(self) -> None:
        """Compare what the logs told with everything read anew."""
        cold = await self.scene.look(self.look.positions)
        _assert_same_market(self.look.market, cold.market)
        assert self.look.positions == cold.positions

    def _liquidate(self, step: Liquidate) -> None:
        """Foretell a liquidation, try it, then mine it: all three must agree."""
        view = self._view(BLOCK_S)
        offer = self._chosen(view, step)
        expected = foretell(view, self.look.positions[offer.ref], offer)
        self._try_offers(view, [offer])
        live = self.stage.live
        self.stage.supply("liquidate", live.pool, "liquidationCall", *_terms(offer))
        ((_, receipt),) = self.stage.mine(view.timestamp)
        succeeded = receipt["status"] == "0x1"
        assert succeeded is isinstance(expected, Outcome), (expected, receipt)
        if succeeded:
            found = outcome_of(self.scene.adapter, view, logs_of(receipt))
            assert found == expected
        self.tally.mined[_name(expected, offer)] += 1

    def _chosen(self, view: AaveMarket, step: Liquidate) -> Offer:
        refs = self._by_health(view)
        sick, well = refs
        chosen = (sick or well)[step.rank % len(sick or well)]
        collateral, debt = _pick(pairs_of(view, self.look.positions[chosen]), step.pair)
        legs = self.scene.adapter.legs(view, self.look.positions[chosen])
        owed = next((leg.amount for leg in legs.debt if leg.asset == debt), 0)
        everything = step.part == ALL_OF_IT
        return Offer(
            ref=chosen,
            collateral=collateral,
            debt=debt,
            amount=EVERYTHING if everything else owed * step.part // BPS,
            receive=step.receive,
        )

    def _by_health(self, view: AaveMarket) -> tuple[list[AccountRef], list[AccountRef]]:
        """Return the liquidatable accounts and the others that owe, worst first."""
        found: tuple[list[tuple[int, AccountRef]], ...] = ([], [])
        for ref, position in self.look.positions.items():
            if not pairs_of(view, position):
                continue
            health = self.scene.adapter.assess(view, position)
            found[not health.liquidatable].append((health.health_factor, ref))
        sick, well = ([ref for _, ref in sorted(part)] for part in found)
        return sick, well

    def _judge_offers(self) -> None:
        """Try offers of every size on some accounts, sick and well, without mining them."""
        random = Random(self.look.block.number)  # noqa: S311 - a sample, not a secret
        view = self._view(BLOCK_S)
        sick, well = self._by_health(view)
        offers: list[Offer] = []
        for ref in random.sample(sick, min(len(sick), _SICK_TRIED)):
            offers += self._offers(view, ref, random)
        for ref in random.sample(well, min(len(well), _WELL_TRIED)):
            collateral, debt = random.choice(pairs_of(view, self.look.positions[ref]))
            pair = (collateral, debt)
            offers.append(_offer(ref, pair, EVERYTHING, receive=random.random() < 0.5))
        self._try_offers(view, offers)
        self._try_plans(view, random.sample(sick, min(len(sick), _SICK_TRIED)))

    def _offers(self, view: AaveMarket, ref: AccountRef, random: Random) -> list[Offer]:
        position = self.look.positions[ref]
        most = {
            (one.collateral, one.debt): one.max_repay
            for one in self.scene.adapter.options(view, position)
        }
        offers = []
        for pair in pairs_of(view, position):
            top = most.get(pair, 1_000)
            receive = random.random() < 0.3
            offers.append(_offer(ref, pair, EVERYTHING, receive=receive))
            offers.append(_offer(ref, pair, top, receive=False))
            offers.append(_offer(ref, pair, top + 1, receive=False))
            offers.append(_offer(ref, pair, random.randint(0, top), receive=False))
        return offers

    def _try_offers(self, view: AaveMarket, offers: Sequence[Offer]) -> None:
        positions, live = self.look.positions, self.stage.live
        expected = [foretell(view, positions[one.ref], one) for one in offers]
        sent = [one.transaction(live) for one in offers]
        results = try_out(live, sent, view.timestamp)
        for offer, verdict, (success, answer, logs) in zip(offers, expected, results, strict=True):
            self.tally.foretold[_name(verdict, offer)] += 1
            if isinstance(verdict, Refusal):
                assert not success, (verdict, offer)
                assert is_refused_as(verdict, view, answer), (verdict, answer, offer)
                continue
            assert success, (verdict, answer, offer)
            found = outcome_of(self.scene.adapter, view, logs)
            assert found == verdict, offer
            self.tally.written_off += len(found.deficits)

    def _try_plans(self, view: AaveMarket, refs: Sequence[AccountRef]) -> None:
        """Send the adapter's own calls: each option's most must come to its quote.

        A transaction may land minutes late: then too, for what was approved.
        """
        adapter, live = self.scene.adapter, self.stage.live
        supplier = live.market.accounts.supplier
        plans = []
        for ref in refs:
            position = self.look.positions[ref]
            for option in adapter.options(view, position):
                quote = adapter.seize(view, position, option, option.max_repay)
                (call,) = adapter.calls(view, ref, option, quote, supplier)
                sent = {"from": supplier, "to": call.target, "data": "0x" + call.data.hex()}
                plans.append((ref, quote, call.amount, sent))
        results = try_out(live, [sent for *_, sent in plans], view.timestamp)
        for (_, quote, approved, _), (success, answer, logs) in zip(plans, results, strict=True):
            assert success, (quote, answer)
            (done,) = adapter.decode(view, logs)
            assert (done.repaid, done.seized) == (quote.repay, quote.seized)
            assert done.protocol_fee == quote.protocol_fee
            assert done.repaid <= approved
            self.tally.foretold["plan"] += 1
        late = self._view(BLOCK_S + _LATE_S)
        still = [one for one in plans if self._is_sick(late, one[0])]
        results = try_out(live, [sent for *_, sent in still], late.timestamp)
        for (_, quote, approved, _), (success, answer, logs) in zip(still, results, strict=True):
            assert success, ("late", quote, answer)
            (done,) = adapter.decode(late, logs)
            assert done.repaid <= approved
            self.tally.foretold["late plan"] += 1

    def _is_sick(self, view: AaveMarket, ref: AccountRef) -> bool:
        return self.scene.adapter.assess(view, self.look.positions[ref]).liquidatable

    def _ask_second_oracle(self) -> None:
        """Compare with Aave's own LiquidationDataProvider, where the release has one."""
        provider = self.stage.live.liquidation_data_provider
        if provider is None:
            return
        view = self._view(0)
        sick, well = self._by_health(view)
        asked = [
            _offer(ref, pair, EVERYTHING, receive=True)
            for ref in (*sick, *well[:_WELL_TRIED])
            for pair in pairs_of(view, self.look.positions[ref])
        ]
        random = Random(self.look.block.number)  # noqa: S311 - a sample, not a secret
        asked = random.sample(asked, min(len(asked), _SECOND_OPINIONS))
        replies = ask_provider(self.stage.live.rpc, provider, asked)
        for offer, reply in zip(asked, replies, strict=True):
            verdict = foretell(view, self.look.positions[offer.ref], offer)
            self.tally.second_oracle[hold_against(view, offer, verdict, reply)] += 1


def _assert_same_market(followed: AaveMarket, cold: AaveMarket) -> None:
    """Tokens that are given away say nothing to the pool: such cash is known of a little later."""
    pairs = list(zip(followed.reserves, cold.reserves, strict=True))
    assert all(one is None or other is None or one.held <= other.held for one, other in pairs)
    reserves = tuple(
        one and other and replace(one, cash=other.cash, held=other.held) for one, other in pairs
    )
    assert replace(followed, reserves=reserves) == cold


def _cast(stage: Stage) -> list[AccountRef]:
    market = stage.live.market
    accounts = (*market.borrowers, *stage.actors, market.accounts.supplier)
    treasury = market.accounts.treasury
    return [AccountRef(market=market.pool, account=one) for one in (*accounts, treasury)]


def _offer(ref: AccountRef, pair: tuple[str, str], amount: int, *, receive: bool) -> Offer:
    return Offer(ref=ref, collateral=pair[0], debt=pair[1], amount=amount, receive=receive)


def _pick(pairs: Sequence[tuple[str, str]], number: int) -> tuple[str, str]:
    return pairs[number % len(pairs)]


def _terms(offer: Offer) -> tuple[object, ...]:
    return (offer.collateral, offer.debt, offer.ref.account, offer.amount, offer.receive)


def _name(verdict: Verdict, offer: Offer) -> str:
    if isinstance(verdict, Refusal):
        return verdict.name
    return "liquidates for aTokens" if offer.receive else "liquidates"
