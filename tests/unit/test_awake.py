"""Processors are kept from sleeping only while that is asked for, and where it is allowed."""

import os
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.runtime.awake import awake


def _held(path: Path) -> bool:
    return any(
        os.path.realpath(one) == str(path.resolve()) for one in Path("/proc/self/fd").iterdir()
    )


def test_the_device_is_told_to_wake_at_once_and_is_held_as_long(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    with awake("keeper.yaml: sending.keep_awake", device):
        assert device.read_bytes() == b"\0\0\0\0"
        assert _held(device)
    assert not _held(device)


def test_the_device_is_let_go_when_the_keeper_fails(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    with pytest.raises(ValueError, match="no"), awake("x", device):
        raise ValueError("no")
    assert not _held(device)


def test_who_may_not_write_to_the_device_is_told_which_setting_asked(tmp_path: Path) -> None:
    device = tmp_path / "none"
    with (
        pytest.raises(
            ConfigError,
            match=rf"keeper\.yaml: sending\.keep_awake: expected to be let write to {device}, "
            "found No such file or directory",
        ),
        awake("keeper.yaml: sending.keep_awake", device),
    ):
        pass
