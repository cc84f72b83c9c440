"""kohya's sd-scripts: folders that carry the repeats, and a dataset file that needs no folder names."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lora_builder.export.layouts.interface import (
    EPOCH_STEPS,
    EPOCHS,
    Entry,
    Material,
    by_base,
    class_pairs,
    folder_name,
    masks,
    pairs,
    quoted,
)
from lora_builder.settings import Settings

BUCKET_STEP = 64
"""Pixels; sd-scripts' own step for SDXL and FLUX."""

MAX_BUCKET = 2048
"""Pixels; its default of 1024 would shrink upright pictures (2:3 to 704x1024 instead of 832x1216)."""

_COMMON = (
    f" --max_train_epochs {EPOCHS} --mixed_precision bf16 --gradient_checkpointing --cache_latents --sdpa"
    " --save_every_n_epochs 1 --save_model_as safetensors --output_dir output --output_name lora"
)

COMMANDS = {
    "sdxl": (
        "accelerate launch SD_SCRIPTS/sdxl_train_network.py --dataset_config dataset.toml"
        " --pretrained_model_name_or_path SDXL_MODEL.safetensors --network_module networks.lora"
        " --network_dim 32 --network_alpha 16 --learning_rate 1e-4" + _COMMON
    ),
    "flux": (
        "accelerate launch SD_SCRIPTS/flux_train_network.py --dataset_config dataset.toml"
        " --pretrained_model_name_or_path FLUX_MODEL.safetensors --clip_l CLIP_L.safetensors"
        " --t5xxl T5XXL.safetensors --ae AE.safetensors --network_module networks.lora_flux"
        " --network_dim 16 --network_alpha 16 --learning_rate 1e-4"
        " --network_train_unet_only --cache_text_encoder_outputs"
        " --timestep_sampling shift --discrete_flow_shift 3.1582 --model_prediction_type raw"
        " --guidance_scale 1.0" + _COMMON
    ),
}


class Kohya:
    """img/10_ohwx woman/0001.png + 0001.txt, reg/1_woman/, masks/, dataset.toml."""

    name = "kohya"
    title = "kohya sd-scripts"
    bases: tuple[str, ...] = ("sdxl", "flux")
    masks = True
    classes = True
    rule = "kohya"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("dataset.toml", _toml(material).encode())
        yield from pairs(material, _folder(material))
        yield from masks(material, "masks")
        yield from class_pairs(material, _class_folder(material))

    def command(self, material: Material) -> str:
        command = by_base(COMMANDS, material)
        return f"{command} --masked_loss" if material.masked and command else command


LAYOUT = Kohya()


def dataset_toml(images: int, settings: Settings) -> str:
    """The text of `dataset.toml` for `images` pictures in the folder `dataset` beside it."""
    repeats = max(1, round(EPOCH_STEPS / images)) if images else 1
    return f"""\
# For kohya's sd-scripts: --dataset_config dataset.toml, run in this folder.
# num_repeats: {EPOCH_STEPS} steps an epoch / {images} pictures, rounded, at least 1: \
{repeats} x {images} = {repeats * images} steps.

{_head(settings, _side(settings))}
  [[datasets.subsets]]
  image_dir = "dataset"
  num_repeats = {repeats}
"""


def readme(images: int, settings: Settings) -> str:
    """The text of the package's README: what it holds and the one command that trains on it."""
    trigger = f"Trigger word: {settings.trigger}\n" if settings.trigger else ""
    command = COMMANDS.get(settings.base_model)
    how = (
        f"Unpack, go into this folder and run, with your own paths for the words in capitals:\n\n{command}\n"
        if command
        else "sd-scripts does not train this base model: choose another layout, see docs/exports.md.\n"
    )
    return f"""\
{images} training pictures with captions, for a LoRA on {settings.base_model.upper()}.
{trigger}
  dataset/       0001.* is a picture, 0001.txt its caption
  dataset.toml   what kohya's sd-scripts (github.com/kohya-ss/sd-scripts) needs to know

{how}"""


def _head(settings: Settings, side: int) -> str:
    return f"""\
[general]
caption_extension = ".txt"
shuffle_caption = false
keep_tokens = {1 if settings.caption_style == "tags" else 0}

{_dataset(side)}"""


def _dataset(side: int) -> str:
    return f"""\
[[datasets]]
resolution = {side}
batch_size = 1
enable_bucket = true
min_bucket_reso = {min(256, side)}
max_bucket_reso = {max(MAX_BUCKET, side)}
bucket_reso_steps = {BUCKET_STEP}
bucket_no_upscale = true
"""


def _toml(material: Material) -> str:
    """The dataset file. A dataset with masks may hold no class pictures: those get one of their own."""
    text = f"""\
# Run in this folder: --dataset_config dataset.toml. Or give --train_data_dir img (and --reg_data_dir reg).
# {material.derived}.

{_head(material.settings, material.resolution)}
  [[datasets.subsets]]
  image_dir = {quoted(_folder(material))}
  num_repeats = {material.repeats}
"""
    if material.masked:
        text += '  conditioning_data_dir = "masks"\n'
    if material.classes:
        if material.masked:
            text += "\n" + _dataset(material.resolution)
        text += f"""
  [[datasets.subsets]]
  image_dir = {quoted(_class_folder(material))}
  is_reg = true
  num_repeats = 1
"""
    return text


def _folder(material: Material) -> str:
    return f"img/{material.repeats}_{folder_name(material.who)}"


def _class_folder(material: Material) -> str:
    return f"reg/1_{folder_name(material.settings.class_word or 'person')}"


def _side(settings: Settings) -> int:
    """Pixels; the side of a square with the area of the largest size, in whole bucket steps."""
    side = max(math.sqrt(width * height) for width, height in settings.sizes)
    return max(BUCKET_STEP, round(side / BUCKET_STEP) * BUCKET_STEP)
