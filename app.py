"""The app: `python app.py`, and the entry point of a Hugging Face Space."""

from lora_builder.settings import load
from lora_builder.ui.app import launch

if __name__ == "__main__":  # Worker processes import this file again.
    launch(load())
