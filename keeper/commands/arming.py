"""Whether a run is armed: asked for twice, and for each chain by its id."""

import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from keeper.app.session import Keys
from keeper.commands.console import say
from keeper.config.complaints import shown
from keeper.config.keeper_file import Mode
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.core.ports import Signer
from keeper.evm.keys import PRIVATE_KEY_VARIABLE, load_signers
from keeper.runtime.private import exposure

CONFIRM_VARIABLE: Final = "KEEPER_CONFIRM_LIVE_CHAIN_ID"

Ask = Callable[[str], str]


def arming(settings: Settings, environment: Mapping[str, str], *, arm: bool) -> Keys | None:
    """Return how to get the keys at hand if the run is armed: asked for twice, for this chain.

    None is disarmed. There may be none at hand where a web3signer is configured. Raises
    ConfigError when it is asked for but not all of it is there.
    """
    return armings([settings], environment, arm=arm)[0]


def armings(
    chains: Sequence[Settings], environment: Mapping[str, str], *, arm: bool
) -> list[Keys | None]:
    """Return the same for each chain; of several, those whose mode is not live stay disarmed.

    A password is asked for once for all of them. Raises ConfigError also when no mode is live.
    """
    if not arm:
        return [None for _ in chains]
    if all(one.mode is not Mode.LIVE for one in chains):
        msg = f"{chains[0].path}: mode: expected live for --arm, found {chains[0].mode.value}"
        raise ConfigError(msg)
    ask = cache(getpass.getpass) if sys.stdin.isatty() else None
    armed: list[Keys | None] = []
    for one in chains:
        if one.mode is Mode.LIVE:
            _require_confirmed(one, environment)
            armed.append(_keys(one, environment, ask))
        else:
            armed.append(None)
    return armed


def _require_confirmed(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise ConfigError unless the chain's id is one of those that the operator confirmed."""
    chain = settings.chain
    confirmed = environment.get(CONFIRM_VARIABLE)
    if str(chain.chain_id) not in [one.strip() for one in (confirmed or "").split(",")]:
        where = f"{chain.chain_id} to arm on this chain ({chain.name})"
        raise ConfigError(f"{CONFIRM_VARIABLE}: expected {where}, found {shown(confirmed)}")


def _keys(settings: Settings, environment: Mapping[str, str], ask: Ask | None) -> Keys:
    """Return what reads the chain's keys, when it is called and not before."""
    operator = settings.operator
    at_hand = operator.keystore or PRIVATE_KEY_VARIABLE in environment
    if operator.web3signer is not None and not at_hand:
        return list
    return lambda: _read(settings, environment, ask)


def _read(settings: Settings, environment: Mapping[str, str], ask: Ask | None) -> Sequence[Signer]:
    """Return the signers; say so where everybody on the machine could read what is theirs."""
    operator = settings.operator
    signers = load_signers(
        chain_id=settings.chain.chain_id,
        environment=environment,
        keystores=operator.keystore,
        password_file=operator.password_file,
        ask=ask,
    )
    password = (operator.password_file,) if operator.keystore else ()
    for key, files in (("password_file", password), ("keystore", operator.keystore)):
        for file in filter(None, files):
            if (why := exposure(file)) is not None:
                # Told, not refused: a mode that another sets would lock an honest operator out.
                say(f"warning: operator.{key}: {file}: {why}")
    return signers
