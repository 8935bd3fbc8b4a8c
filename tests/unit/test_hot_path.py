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
