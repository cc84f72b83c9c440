"""Starts the app: on a laptop, or as a Hugging Face Space."""

from lora_builder.settings import load
from lora_builder.ui.app import launch

# Worker processes import this file again: nothing may happen outside this block.
if __name__ == "__main__":
    launch(load())
