"""tdrussell's diffusion-pipe: a TOML of directories, and one of the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lora_builder.export.buckets import PIPE_BUCKETS, PIPE_MAX_AR, PIPE_MIN_AR
from lora_builder.export.layouts.interface import EPOCHS, Entry, Material, class_pairs, masks, pairs

MODELS: Mapping[str, str] = {
    "sdxl": """\
type = "sdxl"
checkpoint_path = "SDXL_MODEL.safetensors"
""",
    "flux": """\
type = "flux"
diffusers_path = "FLUX.1-DEV"
transformer_dtype = "float8"
flux_shift = true
""",
    "flux2": """\
type = "flux2"
diffusion_model = "FLUX2_MODEL.safetensors"
vae = "FLUX2_VAE.safetensors"
text_encoders = [{path = "MISTRAL_3_SMALL.safetensors", type = "flux2"}]
diffusion_model_dtype = "float8"
timestep_sample_method = "logit_normal"
shift = 3
""",
    "qwen-image": """\
type = "qwen_image"
diffusers_path = "QWEN-IMAGE"
transformer_dtype = "float8"
timestep_sample_method = "logit_normal"
""",
    "z-image": """\
type = "z_image"
diffusion_model = "Z_IMAGE_MODEL.safetensors"
vae = "FLUX_VAE.safetensors"
text_encoders = [{path = "QWEN_3_4B.safetensors", type = "lumina2"}]
""",
    "krea2": """\
type = "krea2"
diffusion_model = "KREA2_RAW.safetensors"
vae = "QWEN_IMAGE_VAE.safetensors"
text_encoders = [{path = "QWEN3VL_4B.safetensors", type = "krea2"}]
diffusion_model_dtype = "float8"
timestep_sample_method = "logit_normal"
""",
}
"""The model section for each base; values in capitals are the user's paths.

As in its docs/supported_models.md. The newer models load ComfyUI's files one by one (`diffusion_model`,
`vae`, `text_encoders`, read in models/flux2.py at 343ee1b); the older ones a Diffusers folder.
"""


class DiffusionPipe:
    """dataset/, masks/, regularisation/, dataset.toml, train.toml."""

    name = "diffusion-pipe"
    title = "diffusion-pipe"
    bases = tuple(MODELS)
    masks = True
    classes = True
    rule = "diffusion-pipe"

    def entries(self, material: Material) -> Iterator[Entry]:
        yield Entry("dataset.toml", _dataset(material).encode())
        yield Entry("train.toml", _train(material).encode())
        yield from pairs(material, "dataset")
        yield from masks(material, "masks")
        yield from class_pairs(material, "regularisation")

    def command(self, material: Material) -> str:
        return "deepspeed --num_gpus=1 DIFFUSION_PIPE/train.py --deepspeed --config train.toml"


LAYOUT = DiffusionPipe()


def _dataset(material: Material) -> str:
    resolutions = material.base.resolutions
    repeats = max(1, round(material.repeats / len(resolutions)))
    text = f"""\
# {material.derived};
# every picture is trained at each of {len(resolutions)} resolutions: {repeats} repeats each.
resolutions = [{", ".join(map(str, resolutions))}]
enable_ar_bucket = true
min_ar = {PIPE_MIN_AR}
max_ar = {PIPE_MAX_AR}
num_ar_buckets = {PIPE_BUCKETS}

[[directory]]
path = "dataset"
num_repeats = {repeats}
"""
    if material.masked:
        text += 'mask_path = "masks"\n'
    if material.classes:
        text += '\n[[directory]]\npath = "regularisation"\nnum_repeats = 1\n'
    return text


def _train(material: Material) -> str:
    return f"""\
output_dir = "output"
dataset = "dataset.toml"
epochs = {EPOCHS}
micro_batch_size_per_gpu = 1
pipeline_stages = 1
gradient_accumulation_steps = 1
gradient_clipping = 1.0
warmup_steps = 20
save_every_n_epochs = 1
checkpoint_every_n_minutes = 120
activation_checkpointing = true
partition_method = "parameters"
save_dtype = "bfloat16"
caching_batch_size = 1
steps_per_print = 1

# Put your own paths for the values in capitals.
[model]
{MODELS[material.settings.base_model]}dtype = "bfloat16"

[adapter]
type = "lora"
rank = 32
dtype = "bfloat16"

[optimizer]
type = "adamw_optimi"
lr = {material.base.learning_rate}
betas = [0.9, 0.99]
weight_decay = 0.01
eps = 1e-8
"""
