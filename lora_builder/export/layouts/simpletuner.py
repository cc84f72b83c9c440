"""bghira's SimpleTuner: a list of data backends, and a config that names it.

None of its keys that delete or clear files is ever written: they remove originals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lora_builder.export.layouts.interface import SAVES, Entry, Material, as_json, class_pairs, masks, pairs

FAMILIES: Mapping[str, str] = {
    "sdxl": "sdxl",
    "flux": "flux",
    "flux2": "flux2",
    "qwen-image": "qwen_image",
    "z-image": "z-image",
}

SMALLEST = 256
"""Pixels; smaller pictures are left out by the trainer."""


class SimpleTuner:
    """dataset/, masks/, regularisation/, config/multidatabackend.json, config/config.json."""

    name = "simpletuner"
    title = "SimpleTuner"
    bases = tuple(FAMILIES)
    masks = True
    classes = True
    rule = "simpletuner"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("config/config.json", as_json(_config(material)))
        yield Entry("config/multidatabackend.json", as_json(_backends(material)))
        yield from pairs(material, "dataset")
        yield from masks(material, "masks")
        yield from class_pairs(material, "regularisation")

    def command(self, material: Material) -> str:
        return "simpletuner train"


LAYOUT = SimpleTuner()


def _backends(material: Material) -> list[dict[str, Any]]:
    subject = _images("subject", "dataset", material)
    # `repeats` counts the further times a picture is seen: 0 is once.
    subject["repeats"] = material.repeats - 1
    backends = [subject]
    if material.masked:
        subject["conditioning_data"] = "masks"
        mask = _images("masks", "masks", material)
        del mask["caption_strategy"]
        backends.append(mask | {"dataset_type": "conditioning", "conditioning_type": "mask"})
    if material.classes:
        backends.append(
            _images("regularisation", "regularisation", material) | {"is_regularisation_data": True}
        )
    backends.append(
        {
            "id": "text-embeds",
            "type": "local",
            "dataset_type": "text_embeds",
            "default": True,
            "cache_dir": "cache/text",
        }
    )
    return backends


def _images(name: str, folder: str, material: Material) -> dict[str, Any]:
    return {
        "id": name,
        "type": "local",
        "dataset_type": "image",
        "instance_data_dir": folder,
        "caption_strategy": "textfile",
        "cache_dir_vae": f"cache/vae/{name}",
        "resolution": material.resolution,
        "resolution_type": "pixel_area",
        "minimum_image_size": SMALLEST,
        "maximum_image_size": 4096,
        "target_downsample_size": 2048,
        "crop": True,
        "crop_style": "center",
        "crop_aspect": "preserve",
        "repeats": 0,
    }


def _config(material: Material) -> dict[str, Any]:
    every = max(material.steps // SAVES, 1)
    return {
        "model_type": "lora",
        "model_family": FAMILIES[material.settings.base_model],
        "pretrained_model_name_or_path": material.base.hub,
        "data_backend_config": "config/multidatabackend.json",
        "output_dir": "output",
        "train_batch_size": 1,
        "gradient_checkpointing": True,
        "max_train_steps": material.steps,
        "num_train_epochs": 0,
        "learning_rate": float(material.base.learning_rate),
        "lr_scheduler": "constant",
        "optimizer": "adamw_bf16",
        "mixed_precision": "bf16",
        "lora_type": "standard",
        "lora_rank": 16,
        "checkpoint_step_interval": every,
        "checkpoints_total_limit": SAVES + 1,
        "validation_step_interval": every,
        "validation_prompt": f"a photo of {material.who}",
        "validation_resolution": "1024x1024",
        "seed": 42,
        "report_to": "none",
        "push_to_hub": False,
    }
