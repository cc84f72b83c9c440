"""Hugging Face's imagefolder: what `datasets` loads, the Hub shows and diffusers' scripts train on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from lora_builder.export.images import one_line
from lora_builder.export.layouts.interface import (
    Entry,
    Material,
    by_base,
    class_pairs,
    masks,
    quoted,
)

_DREAMBOOTH = "accelerate launch DIFFUSERS/examples/dreambooth/train_dreambooth_lora_"

_SCRIPTS: Mapping[str, str] = {
    "sdxl": (
        "accelerate launch DIFFUSERS/examples/text_to_image/train_text_to_image_lora_sdxl.py"
        " --dataset_name . --image_column image --caption_column text --center_crop"
    ),
    "flux": _DREAMBOOTH + "flux.py",
    "flux2": _DREAMBOOTH + "flux2.py",
    "qwen-image": _DREAMBOOTH + "qwen_image.py",
    "z-image": _DREAMBOOTH + "z_image.py",
}


class ImageFolder:
    """train/metadata.jsonl, train/0001.png; with masks a column `mask`; class/ for prior preservation."""

    name = "imagefolder"
    title = "Hugging Face imagefolder (diffusers)"
    bases: tuple[str, ...] = ()
    masks = True
    classes = True
    rule = "square"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("train/metadata.jsonl", b"".join(_lines(material)))
        for image in material.images:
            yield Entry(f"train/{image.name}{image.image.suffix}", image.image)
        yield from masks(material, "train/masks")
        yield from (entry for entry in class_pairs(material, "class") if not entry.path.endswith(".txt"))

    def command(self, material: Material) -> str:
        start = by_base(_SCRIPTS, material)
        if not start:
            return ""
        if material.settings.base_model != "sdxl":
            start += f" --dataset_name . --caption_column text --instance_prompt {quoted(material.who)}"
            if material.classes:
                name = material.settings.class_word or "person"
                start += f" --with_prior_preservation --class_data_dir class --class_prompt {quoted(name)}"
        return (
            f"{start} --pretrained_model_name_or_path {material.base.hub}"
            f" --resolution {material.resolution} --train_batch_size 1 --gradient_checkpointing"
            f" --learning_rate {material.base.learning_rate} --rank 16 --max_train_steps {material.steps}"
            " --mixed_precision bf16 --seed 42 --output_dir output"
        )


LAYOUT = ImageFolder()


def _lines(material: Material) -> Iterator[bytes]:
    for image in material.images:
        row = {"file_name": f"{image.name}{image.image.suffix}", "text": one_line(image.caption)}
        if material.masked:
            row["mask_file_name"] = f"masks/{image.name}.png"
        yield json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
