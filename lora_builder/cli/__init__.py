"""The command line: the same functions as the app, for a terminal, a script, or a pipe.

Exit codes: 0 all projects built, 1 nothing could be built, 2 wrong usage or settings,
3 some projects failed, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys

from rich.markup import escape

# Importing them is what adds their commands to `app`.
from lora_builder.cli import accounts, build, packages, status, vision, work  # noqa: F401
from lora_builder.cli.common import app as app
from lora_builder.cli.common import err
from lora_builder.errors import BadSettings, LoraBuilderError


def main() -> None:
    """Entry point: errors of the user's world become one plain line and an exit code."""
    try:
        app(standalone_mode=True)
    except BadSettings as error:
        err.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
    except LoraBuilderError as error:
        err.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
