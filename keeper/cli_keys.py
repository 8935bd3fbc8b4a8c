"""The command line of ``keeper keys``. It only parses, as ``keeper.cli`` does."""

from pathlib import Path
from typing import Annotated

import typer

keys = typer.Typer(help="Make or import the operator's encrypted keystore.", no_args_is_help=True)

Keystore = Annotated[Path, typer.Argument(help="The new file.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="Holds the password; else the environment or a prompt.")
]


@keys.command("new")
def keys_new(keystore: Keystore, password_file: PasswordFile = None) -> None:
    """Write a new random key into an encrypted keystore."""
    from keeper.commands.keys import new_key
    from keeper.commands.running import plainly
    from keeper.commands.typed import typed_path

    with plainly():
        new_key(typed_path("KEYSTORE", keystore), password_file)


@keys.command("import")
def keys_import(keystore: Keystore, password_file: PasswordFile = None) -> None:
    """Write the key of KEEPER_PRIVATE_KEY, or of a prompt, into an encrypted keystore."""
    from keeper.commands.keys import import_key
    from keeper.commands.running import plainly
    from keeper.commands.typed import typed_path

    with plainly():
        import_key(typed_path("KEYSTORE", keystore), password_file)
