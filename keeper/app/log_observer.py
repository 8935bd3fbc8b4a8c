"""Tell the log what the daemon does: one line a block, one a liquidation."""

import structlog

from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import PendingPrice
from keeper.core.plan import Outcome, Plan, Submission
from keeper.core.taken import Taken

MIRROR_READ = "mirror.read"
BLOCK_SCANNED = "block.scanned"
BLOCK_SKIPPED = "block.skipped"
MARKET_PAUSED = "market.paused"
MARKET_RESUMED = "market.resumed"
PRICE_FORESEEN = "price.foreseen"
LIQUIDATION_SENT = "liquidation.sent"
LIQUIDATION_SHOWN = "liquidation.shown"
LIQUIDATION_REJECTED = "liquidation.rejected"
LIQUIDATION_SETTLED = "liquidation.settled"
LIQUIDATION_TAKEN = "liquidation.taken"


class LogObserver:
    """Writes structured events."""

    def __init__(self) -> None:
        """Log through structlog as it is configured."""
        self._log = structlog.get_logger("keeper")
        self._accounts: dict[str, int] = {}
        self._paused: set[str] = set()

    def progressed(self, deployment: str, what: str, done: int, of: int) -> None:
        """Log the steps of a cold start."""
        self._log.info(MIRROR_READ, deployment=deployment, what=what, done=done, of=of)

    def begun(self, deployment: str) -> None:
        """Log that a pause from before the chain was opened again is over."""
        if deployment in self._paused:
            self.resumed(deployment)

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None:  # noqa: ARG002 - the port's
        """Remember how many loans there are, for the block's line."""
        self._accounts[deployment] = accounts

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:
        """Log the block's line."""
        self._log.info(
            BLOCK_SCANNED,
            deployment=deployment,
            block=block.number,
            accounts=self._accounts.get(deployment, 0),
            liquidatable=under,
            moved=moved,
        )

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Log a liquidation that went out."""
        self._log.info(
            LIQUIDATION_SENT,
            plan=plan.id,
            pair=_pair(plan),
            tx=submission.tx_hash,
            nonce=submission.nonce,
            repay=plan.quote.repay,
            seize=plan.quote.seized,
            forecast_net_wei=plan.forecast.net,
            forced=plan.forced,
        )

    def shown(self, plan: Plan) -> None:
        """Log what an armed keeper would have sent."""
        self._log.info(
            LIQUIDATION_SHOWN,
            plan=plan.id,
            pair=_pair(plan),
            note="disarmed: nothing was sent",
            repay=plan.quote.repay,
            seize=plan.quote.seized,
            forecast_net_wei=plan.forecast.net,
            forced=plan.forced,
        )

    def rejected(self, deployment: str, rejection: Rejection) -> None:
        """Log why an opportunity is not taken."""
        self._log.info(
            LIQUIDATION_REJECTED,
            deployment=deployment,
            account=rejection.ref.account,
            block=rejection.block,
            reason=rejection.reason.value,
            detail=rejection.detail,
        )

    def settled(self, outcome: Outcome) -> None:
        """Log how an intent ended."""
        self._log.info(
            LIQUIDATION_SETTLED,
            plan=outcome.plan_id,
            status=outcome.status.value,
            tx=outcome.tx_hash,
            block=outcome.block,
            net_wei=outcome.realised.net,
            detail=outcome.detail,
        )

    def skipped(self, deployment: str, why: str) -> None:
        """Log that a block was passed over."""
        self._log.warning(BLOCK_SKIPPED, deployment=deployment, why=why)

    def paused(self, deployment: str, why: str) -> None:
        """Log that somebody must look at a deployment."""
        self._paused.add(deployment)
        self._log.error(MARKET_PAUSED, deployment=deployment, why=why)

    def lost(self, deployment: str) -> None:
        """Say nothing: the pause was logged."""

    def resumed(self, deployment: str) -> None:
        """Log that a pause is over."""
        self._paused.discard(deployment)
        self._log.warning(MARKET_RESUMED, deployment=deployment)

    def foreseen(self, deployment: str, pending: PendingPrice, under: int) -> None:
        """Log what a price in the mempool would do."""
        self._log.info(
            PRICE_FORESEEN,
            deployment=deployment,
            tx=pending.tx_hash,
            feeds=sorted(pending.prices),
            liquidatable=under,
        )

    def taken(self, taken: Taken) -> None:
        """Log what somebody else liquidated, and why it was not us."""
        self._log.info(
            LIQUIDATION_TAKEN,
            deployment=taken.deployment,
            account=taken.ref.account,
            block=taken.block,
            tx=taken.tx_hash,
            cause=taken.cause.value,
            detail=taken.detail,
            bonus_wei=taken.bonus,
            gas_wei=taken.gas,
        )


def _pair(plan: Plan) -> str:
    """Return what is seized and what is repaid, by their symbols."""
    pair = (plan.option.collateral, plan.option.debt)
    return ">".join(plan.valuation.assets[one].symbol for one in pair)
