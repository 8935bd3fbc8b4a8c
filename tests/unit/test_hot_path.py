"""What the daemon does not carry with it: libraries that are slow to load and slow to use."""

import subprocess
import sys

HEAVY = ("web3", "eth_account", "eth_abi", "eth_keys", "pandas", "scipy", "apprise", "aiohttp")


def test_the_daemon_runs_without_the_heavy_libraries():
    asked = (
        "import sys, keeper.cli, keeper.commands.run, keeper.app.session, keeper.app.prearming\n"
        f"print(sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


LOOK_UP = """
import sys
from keeper.core.lending import AccountRef
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.revision import V3_0
from keeper.protocols.aave_v3.state import AavePosition
from keeper.scanner.lookout import Lookout
from tests.support.aave_market import PROVIDER
from tests.support.lending_case import aave

view = aave(V3_0)
held = {
    AccountRef(market="pool", account=f"0x{n:040x}"): AavePosition(
        collateral=((0, 10**18),), debt=((1, 10**9),)
    )
    for n in range(3)
}
adapter = AaveAdapter(
    deployment="aave", start_block=0, parameters=Parameters(addresses_provider=PROVIDER)
)
lookout = Lookout(adapter)
lookout.change(view, held)
lookout.see(view, view.prices)
lookout.adopt(lookout.build().run())
lookout.change(view, dict(list(held.items())[:1]))
loaded = set(sys.modules)
lookout.under_after({feed: price * 99 // 100 for feed, price in view.prices.items()})
print(sorted(sys.modules.keys() - loaded))
"""


def test_the_first_look_up_of_a_price_loads_no_library():
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
