"""The Gradio app: layout and wiring over the functions of the core."""
