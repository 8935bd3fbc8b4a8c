"""Open what every command needs: the configured chain and the adapters of its deployments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields

import structlog

from keeper.chain.data_fees import Rollup
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.chain.trouble import Report, Trouble
from keeper.config.settings import Deployment as DeploymentSettings
from keeper.config.settings import Settings
from keeper.protocols.registry import AnyAdapter, adapter_for

NODE_RESUMED = "node.resumed"
NODE_TROUBLED = "node.troubled"
NODE_FAILED = "node.failed"
NODE_BACK = "node.back"

_FAILURES = frozenset((Trouble.EXCLUDED, Trouble.STALLED, Trouble.GONE))


@asynccontextmanager
async def opened_chain(
    settings: Settings, *, retry: RetryPolicy | None = None, report: Report | None = None
) -> AsyncIterator[Chain]:
    """Open the configured chain; raise ConfigError when it does not answer or is another.

    Trouble with its nodes is told to the log, or to ``report``.
    """
    chain = settings.chain
    options = ChainOptions(
        chain_id=chain.chain_id,
        chain_id_key=f"{settings.chain_path}: chain_id",
        rpc_key=f"{settings.chain_path}: rpc",
        multicall3=chain.multicall3,
        stall_s=float(chain.max_head_age_s),
        poll_s=min(1.0, chain.block_time_s / 4),
        retry=retry or RetryPolicy(),
        quorum=chain.quorum,
        max_lag_blocks=chain.max_lag_blocks,
        rollup=None if chain.rollup is None else Rollup(chain.rollup),
    )
    async with open_chain(chain.rpc, options, report=report or tell_the_log) as opened:
        yield opened


def tell_the_log(trouble: Trouble, detail: str, node: str = "", /) -> None:
    """Log trouble with nodes, and its end, as what it means for a person."""
    log = structlog.get_logger("keeper")
    whose = {"node": node} if node else {}
    if trouble is Trouble.RESUMED:
        log.info(NODE_RESUMED, detail=detail)
    elif trouble is Trouble.BACK:
        log.warning(NODE_BACK, detail=detail, **whose)
    elif trouble in _FAILURES:
        log.error(NODE_FAILED, trouble=trouble.value, detail=detail, **whose)
    else:
        log.warning(NODE_TROUBLED, trouble=trouble.value, detail=detail)


def adapters(settings: Settings) -> list[AnyAdapter]:
    """Return the adapter of each enabled deployment."""
    return [adapter_of(one) for one in settings.deployments if one.settings.enabled]


def adapter_of(deployment: DeploymentSettings) -> AnyAdapter:
    """Return a new adapter of a deployment."""
    # The configuration has checked these already; the registry takes them by name.
    declared = fields(deployment.parameters)  # type: ignore[arg-type]
    values = {one.name: getattr(deployment.parameters, one.name) for one in declared}
    return adapter_for(
        deployment.settings.protocol,
        deployment=deployment.name,
        start_block=deployment.settings.start_block,
        parameters=values,
    )
