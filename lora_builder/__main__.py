"""`python -m lora_builder` and the command `lora-dataset-builder`."""


def main() -> None:
    """Runs the command line."""
    # Worker processes import this file again, and need none of what the command line does.
    from lora_builder.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
