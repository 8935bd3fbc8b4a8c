"""Open what every command needs: the configured chain and the adapters of its deployments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields

from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.config.settings import Deployment as DeploymentSettings
from keeper.config.settings import Settings
from keeper.protocols.registry import AnyAdapter, adapter_for


@asynccontextmanager
async def opened_chain(
    settings: Settings, *, retry: RetryPolicy | None = None
) -> AsyncIterator[Chain]:
    """Open the configured chain; raise ConfigError when it does not answer or is another."""
    chain = settings.chain
    options = ChainOptions(
        chain_id=chain.chain_id,
        chain_id_key=f"{settings.chain_path}: chain_id",
        rpc_key=f"{settings.chain_path}: rpc",
        multicall3=chain.multicall3,
        stall_s=float(chain.max_head_age_s),
        poll_s=min(1.0, chain.block_time_s / 4),
        retry=retry or RetryPolicy(),
    )
    urls = [endpoint.address for endpoint in chain.rpc]
    async with open_chain(urls, options) as opened:
        yield opened


def adapters(settings: Settings) -> list[AnyAdapter]:
    """Return the adapter of each enabled deployment."""
    return [_adapter(one) for one in settings.deployments if one.settings.enabled]


def _adapter(deployment: DeploymentSettings) -> AnyAdapter:
    # The configuration has checked these already; the registry takes them by name.
    declared = fields(deployment.parameters)  # type: ignore[arg-type]
    values = {one.name: getattr(deployment.parameters, one.name) for one in declared}
    return adapter_for(
        deployment.settings.protocol,
        deployment=deployment.name,
        start_block=deployment.settings.start_block,
        parameters=values,
    )
