"""LoRA Dataset Builder: from a folder of photos to a training set for a portrait LoRA."""

import os

from lora_builder.version import __version__ as __version__

# Before any of these libraries is imported: they reach out to the network unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Pushes go over plain HTTP: what the tests speak, and no native library with sockets of its own.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
# MediaPipe and TensorFlow Lite write start-up chatter to stderr below this level.
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# OpenCV warns on every model that it runs on its new engine.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
# libvips: only the loaders that are safe on untrusted files (no SVG, PDF or ImageMagick).
os.environ.setdefault("VIPS_BLOCK_UNTRUSTED", "1")
os.environ.setdefault("VIPS_CONCURRENCY", "1")
