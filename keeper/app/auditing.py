"""How to read what the transactions of a deployment came to."""

from keeper.app.builders import decoders_for, lenders_for
from keeper.app.compartment import Compartment
from keeper.app.executor_contract import ExecutorContract, recipient_at
from keeper.chain.session import Chain
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.units import Address
from keeper.executor.dividing import Decoders
from keeper.executor.settler import Auditor


def auditor_of(
    settings: Settings, chain: Chain, contract: ExecutorContract, compartment: Compartment
) -> Auditor:
    """Return what reads the transactions of a deployment.

    What is open may have been sent by way of another executor contract than is configured now, and
    its owner may have set another recipient since: what it brought is read as things were then.
    Raises ConfigError while the deployment's market was never read.
    """
    deployment = compartment.deployment
    decoders, native = deployment.decoders(), settings.chain.wrapped_native

    async def decoders_at(executor: Address, block: BlockRef) -> Decoders:
        recipient = await paid_by(chain, contract, executor, block, settings.chain.finality_depth)
        if (executor, recipient) == (contract.address, contract.recipient):
            return decoders
        lenders = lenders_for(settings.chain, chain.reader, executor)
        by_market = decoders_for(deployment.adapter, lenders, native, recipient)
        return by_market(deployment.mirror.snapshot.market)

    return Auditor(
        decoders=decoders,
        value_at=deployment.acting.appraiser.at_block,
        decoders_at=decoders_at,
    )


async def paid_by(
    chain: Chain, contract: ExecutorContract, executor: Address, block: BlockRef, depth: int
) -> Address:
    """Return whom an executor contract paid in a block.

    Of one that no reorg reaches, whose state no node has any more, it is whom it pays now; whom
    another contract paid than is configured is not guessed. Raises as the node does.
    """
    try:
        return await recipient_at(chain.agreed, executor, block)
    except (StaleError, RefusedError):
        head = await chain.reader.head()
        if executor != contract.address or head.number - block.number <= depth:
            raise
    return contract.recipient
