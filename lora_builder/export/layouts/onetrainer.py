"""Nerogar's OneTrainer: a list of concepts, and a config that names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lora_builder.export.layouts.interface import (
    EPOCHS,
    MASK_FLOOR,
    Entry,
    Material,
    as_json,
    class_pairs,
    masks,
    pairs,
)

MODEL_TYPES: Mapping[str, str] = {
    "sdxl": "STABLE_DIFFUSION_XL_10_BASE",
    "flux": "FLUX_DEV_1",
    "flux2": "FLUX_2",
    "qwen-image": "QWEN",
    "z-image": "Z_IMAGE",
    "krea2": "KREA_2",
}

MASK_SUFFIX = "-masklabel"
"""Beside the picture: 0001.png, 0001-masklabel.png."""

_OFF = (
    "enable_crop_jitter", "enable_random_flip", "enable_fixed_flip", "enable_random_rotate",
    "enable_fixed_rotate", "enable_random_brightness", "enable_fixed_brightness",
    "enable_random_contrast", "enable_fixed_contrast", "enable_random_saturation",
    "enable_fixed_saturation", "enable_random_hue", "enable_fixed_hue", "enable_resolution_override",
    "enable_random_circular_mask_shrink", "enable_random_mask_rotate_crop",
)  # fmt: skip
"""Its augmentations, all off: crop jitter would cut faces, a flip would change an asymmetric one."""


class OneTrainer:
    """dataset/0001.png, 0001.txt, 0001-masklabel.png; concepts.json, train.json."""

    name = "onetrainer"
    title = "OneTrainer"
    bases = tuple(MODEL_TYPES)
    masks = True
    classes = True
    rule = "onetrainer"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("concepts.json", as_json(_concepts(material)))
        yield Entry("train.json", as_json(_config(material)))
        yield from pairs(material, "dataset")
        yield from masks(material, "dataset", MASK_SUFFIX)
        yield from class_pairs(material, "regularisation")

    def command(self, material: Material) -> str:
        return "python ONETRAINER/scripts/train.py --config-path train.json"


LAYOUT = OneTrainer()


def _concepts(material: Material) -> list[dict[str, Any]]:
    concepts = [_concept("subject", "dataset", "STANDARD", material.repeats)]
    if material.classes:
        concepts.append(_concept("regularisation", "regularisation", "PRIOR_PREDICTION", 1))
    return concepts


def _concept(name: str, path: str, kind: str, repeats: int) -> dict[str, Any]:
    return {
        "__version": 2,
        "name": name,
        "path": path,
        "seed": 42,
        "enabled": True,
        "type": kind,
        "include_subdirectories": False,
        "image_variations": 1,
        "text_variations": 1,
        "balancing": float(repeats),
        "balancing_strategy": "REPEATS",
        "loss_weight": 1.0,
        "image": {"__version": 0, **dict.fromkeys(_OFF, False)},
        "text": {
            "__version": 0,
            "prompt_source": "sample",
            "enable_tag_shuffling": False,
            "tag_delimiter": ",",
            "keep_tags_count": 1,
        },
    }


def _config(material: Material) -> dict[str, Any]:
    """In the terms of OneTrainer's own presets, which leave everything else at its default."""
    base = material.base
    train_dtype = {"train_dtype": "BFLOAT_16", "weight_dtype": "BFLOAT_16", "output_dtype": "BFLOAT_16"}
    network = "unet" if base.name == "sdxl" else "transformer"
    return {
        "training_method": "LORA",
        "model_type": MODEL_TYPES[base.name],
        "base_model_name": base.hub,
        "concept_file_name": "concepts.json",
        "workspace_dir": "workspace",
        "cache_dir": "cache",
        "clear_cache_before_training": False,
        "continue_last_backup": False,
        "output_model_destination": "output/lora.safetensors",
        "output_model_format": "SAFETENSORS",
        "resolution": str(material.resolution),
        "aspect_ratio_bucketing": True,
        "batch_size": 1,
        "epochs": EPOCHS,
        "learning_rate": float(base.learning_rate),
        "lora_rank": 16,
        "lora_alpha": 16.0,
        "masked_training": material.masked,
        "unmasked_weight": MASK_FLOOR,
        **train_dtype,
        network: {"train": True},
        "text_encoder": {"train": False},
    }
