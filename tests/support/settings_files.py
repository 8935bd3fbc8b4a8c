"""The shipped configuration in a folder of a test's own, with keys of the root file set."""

import shutil
from pathlib import Path

import yaml

SHIPPED = Path(__file__).parents[2] / "config"


def write_settings(folder: Path, **keys: object) -> Path:
    """Copy the configuration, add ``keys`` to its root file, and return the root's path."""
    config = folder / "config"
    shutil.copytree(SHIPPED, config, dirs_exist_ok=True)
    root = config / "keeper.yaml"
    content = yaml.safe_load(root.read_text("utf-8")) | keys
    root.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return root
