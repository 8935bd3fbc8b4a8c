"""Databases on disk: one that was used, and those that are refused."""

import pytest

from keeper.core.errors import ConfigError
from keeper.core.values import replace
from tests.support.ledger_records import CHAIN, opened, plan


async def used_database(folder):
    """Return a database that was used and closed."""
    journal = await opened(folder)
    await journal.intend(plan())
    await journal.close()
    return folder / "keeper.sqlite"


async def refused(folder, **changes):
    """Return why a database is not opened, by a keeper of a chain that is changed so."""
    with pytest.raises(ConfigError) as caught:
        await opened(folder, identity=replace(CHAIN, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)
