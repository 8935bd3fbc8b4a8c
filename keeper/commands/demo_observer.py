"""Tells the demo's story as it happens, one line a fact."""

import asyncio

from keeper.commands.amounts import ether
from keeper.commands.console import say
from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import PendingPrice
from keeper.core.plan import Outcome, Plan, Status, Submission
from keeper.core.taken import Taken
from keeper.core.text import decimal, readable
from keeper.core.units import Address
from keeper.devnet.crash import CrashStep

_PRICE = 10**8


class DemoObserver:
    """Prints to stderr."""

    def __init__(self) -> None:
        """Make one of a story that has not begun."""
        self.ready = asyncio.Event()

    def stepped(self, step: CrashStep) -> None:
        """Tell a step of the crash."""
        prices = ", ".join(f"{s} {decimal(p, _PRICE, 2)}" for s, p in step.answers.items())
        say(f"\nstep {step.number} of {step.count}, block {step.block}: {prices}")

    def progressed(self, deployment: str, what: str, done: int, of: int) -> None:
        """Tell how far the cold start is."""
        if done == of:
            say(f"{deployment}: {what}: {done:,} of {of:,}")

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None:
        """Tell when the mirror is ready."""
        if not self.ready.is_set():
            say(f"{deployment}: watching {accounts:,} loans from block {block.number}")
            self.ready.set()

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:  # noqa: ARG002 - the port's
        """Tell what a price move opened."""
        if moved and under:
            say(f"  block {block.number}: {under} under the line")

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Tell of a liquidation that went out."""
        repay = _amount(plan, plan.option.debt, plan.quote.repay)
        seize = _amount(plan, plan.option.collateral, plan.quote.seized)
        say(
            f"  sent   {plan.ref.account[:10]} repay {repay}, seize {seize}"
            f", forecast net {ether(plan.forecast.net)} ETH, nonce {submission.nonce}"
        )

    def shown(self, plan: Plan) -> None:
        """Tell what would have been sent; the demo is never disarmed."""
        say(f"  shown  {plan.id}")

    def rejected(self, deployment: str, rejection: Rejection) -> None:  # noqa: ARG002 - the port's
        """Tell why an account is left alone."""
        why = f"{rejection.reason}: {readable(rejection.detail)}"
        say(f"  left   {rejection.ref.account[:10]} {why}")

    def settled(self, outcome: Outcome) -> None:
        """Tell how a liquidation ended."""
        account = outcome.plan_id.split(":")[2][:10]
        if outcome.status is Status.LANDED:
            net = ether(outcome.realised.net)
            say(f"  landed {account} in block {outcome.block}, net {net} ETH")
        else:
            say(f"  {outcome.status} {account}: {outcome.detail}")

    def skipped(self, deployment: str, why: str) -> None:
        """Tell that a block was passed over."""
        say(f"  {deployment}: block skipped: {why}")

    def paused(self, deployment: str, why: str) -> None:
        """Tell that somebody must look."""
        say(f"  {deployment}: paused: {why}")

    def begun(self, deployment: str) -> None:
        """Say nothing: nothing was paused."""

    def lost(self, deployment: str) -> None:
        """Say nothing: the pause was told."""

    def resumed(self, deployment: str) -> None:
        """Tell that a person lifted a pause."""
        say(f"  {deployment}: resumed")

    def foreseen(self, deployment: str, pending: PendingPrice, under: int) -> None:
        """Tell what a price in the mempool would do."""
        say(f"  {deployment}: pending {pending.tx_hash}: {under} under the line")

    def taken(self, taken: Taken) -> None:
        """Say nothing: nobody else is there."""


def _amount(plan: Plan, token: Address, raw: int) -> str:
    asset = plan.valuation.assets[token]
    return f"{decimal(raw, asset.unit, 4)} {asset.symbol}"
