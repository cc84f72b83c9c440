"""The command that says who may come into a shared app: `login`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lora_builder import passwords
from lora_builder.cli.common import app, out
from lora_builder.settings import load

FILE = "logins"
"""Name of the file in the data folder, where no other is given."""


@app.command()
def login(
    name: Annotated[str, typer.Argument(help="Who may come in.")],
    file: Annotated[
        Path | None, typer.Option(help="Default: LOGIN_FILE, or `logins` in LORA_DATA_DIR.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the name out.")] = False,
) -> None:
    """Let somebody into a shared app, or out of it: asks for a password and keeps only its hash."""
    settings = load()
    path = file or settings.login_file or settings.data_dir / FILE
    password = None if remove else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    passwords.write(path, name, password)
    done = "is out of" if remove else "is in"
    out.print(f"{name} {done} {path}. The app asks for a login with LOGIN_FILE={path}", highlight=False)
