"""`python -m lora_builder`: the command line."""

from lora_builder.cli import main

if __name__ == "__main__":
    main()
