"""kohya's musubi-tuner: a TOML of datasets, latents and texts cached first, then the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lora_builder.export.layouts.interface import EPOCHS, Entry, Material, pairs

_SCRIPTS = "MUSUBI_TUNER/src/musubi_tuner/"

_TRAIN = (
    " --dataset_config dataset.toml --sdpa --mixed_precision bf16 --weighting_scheme none"
    " --optimizer_type adamw8bit --learning_rate 1e-4 --gradient_checkpointing --network_dim 32"
    f" --max_train_epochs {EPOCHS} --save_every_n_epochs 1 --seed 42 --output_dir output --output_name lora"
)

_VERBS: Mapping[str, tuple[str, str, str]] = {
    # base: script prefix, network module, timestep options
    "flux2": ("flux_2", "networks.lora_flux_2", "--timestep_sampling flux2_shift"),
    "qwen-image": (
        "qwen_image",
        "networks.lora_qwen_image",
        "--timestep_sampling shift --discrete_flow_shift 2.2",
    ),
    "z-image": ("zimage", "networks.lora_zimage", "--timestep_sampling shift --discrete_flow_shift 2.0"),
    "krea2": ("krea2", "networks.lora_krea2", "--timestep_sampling shift --discrete_flow_shift 2.5"),
}


class Musubi:
    """dataset/, dataset.toml. It reads neither masks nor class pictures."""

    name = "musubi"
    title = "musubi-tuner"
    bases = tuple(_VERBS)
    masks = False
    classes = False
    rule = "musubi"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("dataset.toml", _toml(material).encode())
        yield from pairs(material, "dataset")

    def command(self, material: Material) -> str:
        if material.settings.base_model not in _VERBS:
            return ""
        prefix, module, timesteps = _VERBS[material.settings.base_model]
        return (
            f"python {_SCRIPTS}{prefix}_cache_latents.py --dataset_config dataset.toml --vae VAE.safetensors"
            f" && python {_SCRIPTS}{prefix}_cache_text_encoder_outputs.py --dataset_config dataset.toml"
            " --text_encoder TEXT_ENCODER.safetensors --batch_size 1"
            f" && accelerate launch --num_cpu_threads_per_process 1 --mixed_precision bf16"
            f" {_SCRIPTS}{prefix}_train_network.py --dit DIT.safetensors --vae VAE.safetensors"
            f" --text_encoder TEXT_ENCODER.safetensors --network_module {module} {timesteps}" + _TRAIN
        )


LAYOUT = Musubi()


def _toml(material: Material) -> str:
    """One dataset for each resolution of the base model, each with a cache of its own."""
    resolutions = material.base.resolutions
    repeats = max(1, round(material.repeats / len(resolutions)))
    text = f"""\
# Run in this folder. {material.derived};
# shared among {len(resolutions)} resolutions: {repeats} repeats each.

[general]
caption_extension = ".txt"
batch_size = 1
enable_bucket = true
bucket_no_upscale = true
"""
    for side in resolutions:
        text += f"""
[[datasets]]
resolution = [{side}, {side}]
image_directory = "dataset"
cache_directory = "cache/{side}"
num_repeats = {repeats}
"""
    return text
