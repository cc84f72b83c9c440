"""ostris's ai-toolkit: a YAML job that points at plain pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lora_builder.export.layouts.interface import (
    EPOCHS,
    MASK_FLOOR,
    SAVES,
    Entry,
    Material,
    class_pairs,
    masks,
    pairs,
    quoted,
)

_TURBO_ADAPTER = "ostris/zimage_turbo_training_adapter/zimage_turbo_training_adapter_v2.safetensors"
"""Turbo is distilled: without this adapter, training would undo that."""

MODELS: Mapping[str, str] = {
    "sdxl": """\
        arch: "sdxl"
""",
    "flux": """\
        arch: "flux"
        quantize: true
""",
    "flux2": """\
        arch: "flux2"
        quantize: true
        quantize_te: true
        low_vram: true
""",
    "qwen-image": """\
        arch: "qwen_image"
        quantize: true
        quantize_te: true
        low_vram: true
""",
    "z-image": f"""\
        arch: "zimage"
        assistant_lora_path: "{_TURBO_ADAPTER}"
        quantize: true
        quantize_te: true
""",
    "krea2": """\
        arch: "krea2"
        quantize: true
        quantize_te: true
        low_vram: true
""",
}
"""The model section for each base, after `name_or_path`."""


class AiToolkit:
    """dataset/, masks/, regularisation/, config.yaml."""

    name = "ai-toolkit"
    title = "ostris ai-toolkit"
    bases = tuple(MODELS)
    masks = True
    classes = True
    rule = "ai-toolkit"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("config.yaml", _yaml(material).encode())
        yield from pairs(material, "dataset")
        yield from masks(material, "masks")
        yield from class_pairs(material, "regularisation")

    def command(self, material: Material) -> str:
        return "python AI_TOOLKIT/run.py config.yaml"


LAYOUT = AiToolkit()


def _yaml(material: Material) -> str:
    settings, base = material.settings, material.base
    trigger = f"      trigger_word: {quoted(settings.trigger)}\n" if settings.trigger else ""
    prompt = f"a photo of {material.who}, upper body, outdoors, natural light"
    return f"""\
# Run in this folder. {material.derived}.
job: extension
config:
  name: "lora"
  process:
    - type: "sd_trainer"
      training_folder: "output"
      device: "cuda:0"
{trigger}      network:
        type: "lora"
        linear: 16
        linear_alpha: 16
      save:
        dtype: float16
        save_every: {max(material.steps // SAVES, 1)}
        max_step_saves_to_keep: {EPOCHS + 1}
        push_to_hub: false
      datasets:
{_datasets(material)}      train:
        batch_size: 1
        steps: {material.steps}
        gradient_accumulation: 1
        train_unet: true
        train_text_encoder: false
        gradient_checkpointing: true
        noise_scheduler: "{"flowmatch" if base.flow else "ddpm"}"
        optimizer: "adamw8bit"
        lr: {base.learning_rate}
        dtype: bf16
      model:
        name_or_path: "{base.hub}"
{MODELS[base.name]}      sample:
        sampler: "{"flowmatch" if base.flow else "ddpm"}"
        sample_every: {max(material.steps // SAVES, 1)}
        width: 1024
        height: 1024
        prompts:
          - {quoted(prompt)}
        seed: 42
        walk_seed: true
        guidance_scale: {"4" if base.flow else "7"}
        sample_steps: 20
meta:
  name: "[name]"
  version: "1.0"
"""


def _datasets(material: Material) -> str:
    resolutions = ", ".join(map(str, material.base.resolutions))
    common = f"""\
          caption_ext: "txt"
          caption_dropout_rate: 0.05
          cache_latents_to_disk: true
          resolution: [{resolutions}]
"""
    text = f"""\
        - folder_path: "dataset"
          num_repeats: 1
{common}"""
    if material.masked:
        # At 0 a picture whose mask is black everywhere gives not-a-number.
        text += f'          mask_path: "masks"\n          mask_min_value: {MASK_FLOOR}\n'
    if material.classes:
        text += f'        - folder_path: "regularisation"\n          is_reg: true\n{common}'
    return text
