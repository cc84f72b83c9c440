"""The dataset file of kohya's sd-scripts, and how to train with it."""

from __future__ import annotations

import math

from lora_builder.settings import Settings

EPOCH_STEPS = 200
"""Pictures an epoch that the repeats aim for: 10 x 20 pictures, the usual portrait recipe."""

BUCKET_STEP = 64
"""Pixels; sd-scripts' own step for SDXL and FLUX."""

MAX_BUCKET = 2048
"""Pixels; its default of 1024 would shrink upright pictures (2:3 to 704x1024 instead of 832x1216)."""

_COMMANDS = {
    "sdxl": (
        "accelerate launch SD_SCRIPTS/sdxl_train_network.py --dataset_config dataset.toml"
        " --pretrained_model_name_or_path SDXL_MODEL.safetensors --network_module networks.lora"
        " --network_dim 32 --network_alpha 16 --learning_rate 1e-4 --max_train_epochs 10"
        " --mixed_precision bf16 --gradient_checkpointing --cache_latents --sdpa"
        " --save_every_n_epochs 1 --save_model_as safetensors --output_dir output --output_name lora"
    ),
    "flux": (
        "accelerate launch SD_SCRIPTS/flux_train_network.py --dataset_config dataset.toml"
        " --pretrained_model_name_or_path FLUX_MODEL.safetensors --clip_l CLIP_L.safetensors"
        " --t5xxl T5XXL.safetensors --ae AE.safetensors --network_module networks.lora_flux"
        " --network_dim 16 --network_alpha 16 --learning_rate 1e-4 --max_train_epochs 10"
        " --network_train_unet_only --cache_text_encoder_outputs --cache_latents"
        " --timestep_sampling shift --discrete_flow_shift 3.1582 --model_prediction_type raw"
        " --guidance_scale 1.0 --mixed_precision bf16 --gradient_checkpointing --sdpa"
        " --save_every_n_epochs 1 --save_model_as safetensors --output_dir output --output_name lora"
    ),
}


def dataset_toml(images: int, settings: Settings) -> str:
    """The text of `dataset.toml` for `images` pictures in the folder `dataset` beside it."""
    repeats = max(1, round(EPOCH_STEPS / images)) if images else 1
    side = _side(settings)
    return f"""\
# For kohya's sd-scripts: --dataset_config dataset.toml, run in this folder.
# num_repeats: {EPOCH_STEPS} steps an epoch / {images} pictures, rounded, at least 1: \
{repeats} x {images} = {repeats * images} steps.

[general]
caption_extension = ".txt"
shuffle_caption = false
keep_tokens = {1 if settings.caption_style == "tags" else 0}

[[datasets]]
resolution = {side}
batch_size = 1
enable_bucket = true
min_bucket_reso = {min(256, side)}
max_bucket_reso = {max(MAX_BUCKET, side)}
bucket_reso_steps = {BUCKET_STEP}
bucket_no_upscale = true

  [[datasets.subsets]]
  image_dir = "dataset"
  num_repeats = {repeats}
"""


def readme(images: int, settings: Settings) -> str:
    """The text of the package's README: what it holds and the one command that trains on it."""
    trigger = f"Trigger word: {settings.trigger}\n" if settings.trigger else ""
    return f"""\
{images} training pictures with captions, for a LoRA on {settings.base_model.upper()}.
{trigger}
  dataset/       0001.* is a picture, 0001.txt its caption
  dataset.toml   what kohya's sd-scripts (github.com/kohya-ss/sd-scripts) needs to know

Unpack, go into this folder and run, with your own paths for the words in capitals:

{_COMMANDS[settings.base_model]}
"""


def _side(settings: Settings) -> int:
    """Pixels; the side of a square with the area of the largest size, in whole bucket steps."""
    side = max(math.sqrt(width * height) for width, height in settings.sizes)
    return max(BUCKET_STEP, round(side / BUCKET_STEP) * BUCKET_STEP)
