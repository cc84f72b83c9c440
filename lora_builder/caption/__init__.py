"""Captions: the local composer, vision models, and what their answers must pass."""
