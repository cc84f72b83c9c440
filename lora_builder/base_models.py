"""What each base model is trained at: pixels, steps, sides. Sources: the trainers' own presets.

SDXL's sizes are those of its paper's appendix (Podell et al. 2023), area 1024 x 1024 in steps of
64. The FLUX family, Qwen-Image, Z-Image and Krea take any size in steps of 16; trainers bucket them
by 64 or 16, and several resolutions at once are usual for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VAE_CELL = 8
"""Pixels a side of one latent cell, for every model here."""


@dataclass(frozen=True)
class BaseModel:
    """One base model. `resolutions`: sides in pixels of the squares whose areas it is trained at.

    `max_side`: longest bucket side in pixels. `learning_rate`: the usual one for a portrait LoRA.
    `hub`: where its weights are published. `flow`: trained by flow matching.
    """

    name: str
    title: str
    resolutions: tuple[int, ...]
    max_side: int
    learning_rate: str
    hub: str
    flow: bool = True


BASE_MODELS: Mapping[str, BaseModel] = {
    model.name: model
    for model in (
        BaseModel(
            "sdxl", "SDXL 1.0", (1024,), 2048, "1e-4", "stabilityai/stable-diffusion-xl-base-1.0", False
        ),
        BaseModel("flux", "FLUX.1 dev", (512, 768, 1024), 2048, "1e-4", "black-forest-labs/FLUX.1-dev"),
        BaseModel("flux2", "FLUX.2 dev", (512, 768, 1024), 2048, "1e-4", "black-forest-labs/FLUX.2-dev"),
        BaseModel("qwen-image", "Qwen-Image", (512, 768, 1024), 2048, "1e-4", "Qwen/Qwen-Image"),
        BaseModel("z-image", "Z-Image Turbo", (768, 1024), 2048, "1e-4", "Tongyi-MAI/Z-Image-Turbo"),
        BaseModel("krea2", "Krea 2", (768, 1024), 2048, "1e-4", "krea/Krea-2-Raw"),
    )
}

PORTRAIT_SIZES = (
    (1024, 1024), (896, 1152), (1152, 896), (832, 1216), (1216, 832), (768, 1344), (1344, 768),
)  # fmt: skip
"""Width and height in pixels of the bucket crops: SDXL's own sizes from 9:16 to 16:9. kohya's trainers
take each unchanged; others trim some of them a little (`export.buckets` says how)."""
