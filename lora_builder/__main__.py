"""`python -m lora_builder`, and the command that pip installs."""

from __future__ import annotations

import sys


def main() -> None:
    """The command line, or one sentence where the libraries that it needs cannot be loaded."""
    try:
        from lora_builder.cli import main as run
    except ImportError as error:
        print(f"Error: a library cannot be loaded: {error}.", file=sys.stderr)
        print("Python packages: pip install -r requirements.txt.", file=sys.stderr)
        print("System libraries, on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0.", file=sys.stderr)
        sys.exit(1)
    run()


# Worker processes import this file under another name; they need no command line.
if __name__ == "__main__":
    main()
