"""Armed is asked for twice, and for each chain by its id."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.commands import arming as module
from keeper.commands.arming import CONFIRM_VARIABLE, arming, armings
from keeper.config.keeper_file import Mode, OperatorSettings
from keeper.core.errors import ConfigError
from keeper.evm.keys import PRIVATE_KEY_VARIABLE
from tests.support.keystores import quick_keystore

KEY = "0x" + "11" * 32


def chain(name: str, chain_id: int, mode: Mode = Mode.LIVE) -> Any:
    return SimpleNamespace(
        path=Path("keeper.yaml"),
        mode=mode,
        chain=SimpleNamespace(name=name, chain_id=chain_id),
        operator=OperatorSettings(),
    )


ONE, TWO = chain("one", 1), chain("two", 56)


def test_without_arm_nothing_is_armed_and_nothing_is_read():
    assert armings([ONE, TWO], {}, arm=False) == [None, None]


def test_every_live_chain_must_be_confirmed_by_its_id():
    with pytest.raises(ConfigError) as caught:
        armings([ONE, TWO], {CONFIRM_VARIABLE: "1"}, arm=True)
    assert str(caught.value) == (
        "KEEPER_CONFIRM_LIVE_CHAIN_ID: expected 56 to arm on this chain (two), found '1'"
    )
    with pytest.raises(ConfigError, match="found nothing"):
        arming(ONE, {}, arm=True)
    keys = armings([ONE, TWO], {CONFIRM_VARIABLE: "56, 1"}, arm=True)
    assert all(keys)


def test_a_key_in_place_of_the_id_is_not_shown():
    with pytest.raises(ConfigError, match="expected 1 to arm") as caught:
        arming(ONE, {CONFIRM_VARIABLE: "0x" + "c0" * 32}, arm=True)
    assert "c0c0" not in str(caught.value)


@pytest.mark.parametrize("confirmed", ["11", "1 56", "", "one", "1.56"])
def test_what_only_looks_like_the_id_does_not_confirm_it(confirmed):
    with pytest.raises(ConfigError, match="expected 1 to arm"):
        arming(ONE, {CONFIRM_VARIABLE: confirmed}, arm=True)


def test_a_chain_that_only_observes_stays_disarmed_beside_a_live_one():
    watched = chain("two", 56, Mode.OBSERVE)
    live, other = armings([ONE, watched], {CONFIRM_VARIABLE: "1"}, arm=True)
    assert live is not None
    assert other is None


def test_arming_without_a_live_chain_is_refused():
    watched = [chain("one", 1, Mode.OBSERVE), chain("two", 56, Mode.FORK)]
    with pytest.raises(ConfigError, match=r"keeper\.yaml: mode: expected live for --arm, found ob"):
        armings(watched, {CONFIRM_VARIABLE: "1,56"}, arm=True)


def test_the_key_signs_for_each_chain_and_is_read_when_it_is_asked_for():
    environment = {CONFIRM_VARIABLE: "1,56"}
    keys = armings([ONE, TWO], environment, arm=True)
    environment[PRIVATE_KEY_VARIABLE] = KEY
    (first,), (second,) = [list(read()) for read in keys if read is not None]
    assert first.address == second.address
    assert [one._chain_id for one in (first, second)] == [1, 56]


def test_a_password_is_asked_for_once_for_all_chains(monkeypatch, tmp_path):
    keystore = tmp_path / "key.json"
    quick_keystore(keystore, bytes.fromhex("11" * 32), "open")
    asked = []
    monkeypatch.setattr(module.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(module.getpass, "getpass", lambda text: asked.append(text) or "open")
    chains = [chain("one", 1), chain("two", 56)]
    for one in chains:
        one.operator = OperatorSettings(keystore=(keystore,))
    keys = armings(chains, {CONFIRM_VARIABLE: "1,56"}, arm=True)
    assert asked == []
    assert all(list(read()) for read in keys if read is not None)
    assert len(asked) == 1
