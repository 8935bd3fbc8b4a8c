"""Pinned packages: what is accepted, what is refused and in which words."""

import base64
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.devnet.packages import (
    Package,
    cache_root,
    check_integrity,
    ensure,
    ensure_package,
    manifest,
)


def integrity_of(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def tarball(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("package/link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return out.getvalue()


def package(data: bytes, *keep: str) -> Package:
    return Package(
        name="thing",
        npm="@some/thing",
        version="1.2.3",
        integrity=integrity_of(data),
        keep=keep or ("*.json",),
    )


@pytest.fixture
def npm_that_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put an npm on the PATH that delivers the given bytes, or fails with the given words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "node").symlink_to("/bin/true")

    def install(data: bytes = b"", *, failing_with: str = "", first: str = "true") -> None:
        (tmp_path / "made.tgz").write_bytes(data)
        lines = [f"echo '{failing_with}' >&2; exit 1"] if failing_with else []
        script = "\n".join(
            ("#!/bin/sh", first, *lines, f"cp {tmp_path / 'made.tgz'} thing.tgz", "")
        )
        (folder / "npm").write_text(script)
        (folder / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    return install


def test_every_pinned_package_has_a_sha512_and_keeps_something():
    for pinned in manifest().values():
        assert pinned.integrity.startswith("sha512-")
        assert len(base64.b64decode(pinned.integrity.removeprefix("sha512-"))) == 64
        assert pinned.keep


def test_a_name_that_is_not_pinned_is_refused_with_the_names_that_are():
    with pytest.raises(ConfigError, match=r"expected one of .*solc.*, found 'nonsense'"):
        ensure("nonsense")


def test_a_tarball_with_another_hash_is_refused_naming_both_hashes():
    pinned = package(b"the real one")
    with pytest.raises(ConfigError) as refused:
        check_integrity(pinned, b"another one")
    assert pinned.integrity in str(refused.value)
    assert integrity_of(b"another one") in str(refused.value)


def test_a_refused_tarball_leaves_nothing_in_the_cache(npm_that_packs, tmp_path: Path):
    npm_that_packs(b"another one")
    with pytest.raises(ConfigError, match="expected integrity"):
        ensure_package(package(b"the real one"), cache=tmp_path / "cache")
    assert list((tmp_path / "cache" / "packages").iterdir()) == []


def test_only_the_wanted_files_are_unpacked(npm_that_packs, tmp_path: Path):
    data = tarball(
        ("package/kept.json", b"{}"),
        ("package/dropped.txt", b"no"),
        ("package/../../climbs.json", b"no"),
        ("/package/absolute.json", b"no"),
    )
    npm_that_packs(data)
    folder = ensure_package(package(data), cache=tmp_path / "cache")
    assert [path.name for path in folder.rglob("*")] == ["kept.json"]
    assert not list(tmp_path.rglob("climbs.json"))


def test_a_package_in_the_cache_is_not_fetched_again(npm_that_packs, tmp_path: Path):
    data = tarball(("package/kept.json", b"{}"))
    npm_that_packs(data)
    said: list[str] = []
    first = ensure_package(package(data), cache=tmp_path / "cache", progress=said.append)
    npm_that_packs(failing_with="npm error code EVERYTHING")
    assert ensure_package(package(data), cache=tmp_path / "cache", progress=said.append) == first
    assert said == ["fetching @some/thing@1.2.3 from npm"]


def test_a_folder_that_another_process_made_meanwhile_is_taken_as_it_is(
    npm_that_packs, tmp_path: Path
):
    data = tarball(("package/kept.json", b"ours"))
    final = tmp_path / "cache" / "packages" / package(data).folder
    npm_that_packs(data, first=f"mkdir -p {final} && echo theirs > {final}/kept.json")
    assert ensure_package(package(data), cache=tmp_path / "cache") == final
    assert (final / "kept.json").read_text() == "theirs\n"
    assert [path.name for path in final.parent.iterdir()] == [final.name]


def test_keeping_other_files_means_another_folder():
    data = b"same tarball"
    assert package(data, "*.json").folder != package(data, "*.sol").folder


def test_without_npm_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"expected Node\.js 18 or newer with npm on the PATH"):
        ensure_package(package(b""), cache=tmp_path / "cache")


def test_without_a_network_the_error_says_that_the_registry_is_out_of_reach(
    npm_that_packs, tmp_path: Path
):
    npm_that_packs(failing_with="npm error code ENOTFOUND")
    with pytest.raises(ConfigError, match=r"registry cannot be reached \(code ENOTFOUND\)"):
        ensure_package(package(b""), cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(npm_that_packs, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"cannot write the cache folder .*/cache/packages"):
        ensure_package(package(b""), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KEEPER_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/keeper"),
        ({"HOME": "/c"}, "/c/.cache/keeper"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("KEEPER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(expected)


def test_an_executable_stays_executable(npm_that_packs, tmp_path: Path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/bin/tool")
        info.size, info.mode = 2, 0o755
        archive.addfile(info, io.BytesIO(b"#!"))
    npm_that_packs(out.getvalue())
    folder = ensure_package(package(out.getvalue(), "bin/tool"), cache=tmp_path / "cache")
    assert (folder / "bin" / "tool").stat().st_mode & stat.S_IXUSR
