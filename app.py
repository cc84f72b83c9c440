"""The app: `python app.py`, and the entry point of a Hugging Face Space."""

if __name__ == "__main__":
    # Worker processes import this file again; they need neither Gradio nor a second app.
    from lora_builder.settings import load
    from lora_builder.ui.app import launch

    launch(load())
