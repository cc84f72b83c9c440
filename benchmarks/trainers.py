"""Runs the trainers' own code that PyPI carries on our exports and against our bucketing rules.

    python benchmarks/trainers.py [--sizes 20000]

Downloads the two wheels that hold a trainer (about 35 MB, without their dependencies) into a
temporary folder. What they import and this machine lacks, PyTorch above all, is replaced by
stand-ins: only the reading of configs and the arithmetic of buckets is run, no training.
Prints the table that docs/exports.md quotes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import json
import random
import subprocess
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image
from skimage.data import astronaut

from lora_builder.export.buckets import ai_toolkit, simpletuner
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS
from lora_builder.export.layouts.interface import ClassImage
from lora_builder.export.write import write_layouts
from lora_builder.records import Box, Crop
from lora_builder.settings import load

WHEELS = ("ostris-ai-toolkit==0.2.7", "simpletuner==3.1.6")

STUBBED = ("torch", "torchvision", "transformers", "diffusers", "accelerate")
"""Replaced even where installed: nothing of them is needed, and loading them takes minutes."""


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module that nobody else finds: an object that is anything."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec:
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module: Any = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def unpacked(place: Path) -> None:
    """The wheels' files, importable; packages whose `__init__` starts the trainer are left empty."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(place), *WHEELS]
    subprocess.run(command, check=True)
    for wheel in place.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(place)
    sys.path.insert(0, str(place))
    for name in ("ostris_ai_toolkit", "ostris_ai_toolkit.toolkit", "simpletuner", "simpletuner.helpers") + (
        "simpletuner.helpers.data_backend", "simpletuner.helpers.multiaspect",
    ):  # fmt: skip
        module = types.ModuleType(name)
        module.__path__ = [str(place.joinpath(*name.split(".")))]
        sys.modules[name] = module
    state: Any = types.ModuleType("simpletuner.helpers.training.state_tracker")
    state.StateTracker = MagicMock()
    state.StateTracker.get_args.return_value = types.SimpleNamespace(
        aspect_bucket_alignment=64, aspect_bucket_rounding=2
    )
    state.StateTracker.get_resolution_by_aspect.return_value = None
    sys.modules["simpletuner.helpers.training"] = types.ModuleType("simpletuner.helpers.training")
    sys.modules[state.__name__] = state
    import yaml

    sys.modules["oyaml"] = yaml
    sys.meta_path.append(StandIns())
    for name in STUBBED:
        sys.modules[name] = StandIns().create_module(importlib.machinery.ModuleSpec(name, None))


def exported(place: Path) -> Path:
    """Our exports for both trainers, with masks and class pictures."""
    images = []
    for number, size in enumerate(((1024, 1024), (832, 1216), (1216, 832)), 1):
        path, mask = place / f"{number}.png", place / f"{number}.mask.png"
        Image.fromarray(astronaut()).resize(size).save(path, compress_level=1)
        Image.fromarray(np.full(size[::-1], 200, np.uint8)).save(mask)
        crop = Crop(Box(0, 0, *size), *size)
        images.append(
            TrainingImage(f"{number:04d}", path, f"ohwx woman, {number}.", "composer", "a", crop, mask=mask)
        )
    classes = [ClassImage("0001", images[0].image, "woman")]
    settings = load(
        trigger="ohwx", class_word="woman", layouts=("ai-toolkit", "simpletuner"), base_model="flux"
    )
    write_layouts(place, images, [], settings, classes)
    return place / "exports"


def agreement(rule: Callable[[int, int, int], bool], count: int) -> str:
    """On how many sizes a rule of ours and the trainer's give the same."""
    numbers = random.Random(2)
    sizes = [(numbers.randint(256, 3000), numbers.randint(256, 3000)) for _ in range(count)]
    sizes = [(w, h) for w, h in sizes if 0.25 <= w / h <= 4]
    same = sum(rule(w, h, numbers.choice((512, 768, 1024))) for w, h in sizes)
    return f"{same} of {len(sizes)} sizes"


def see_ai_toolkit(exports: Path, count: int) -> None:
    buckets = importlib.import_module("ostris_ai_toolkit.toolkit.buckets")
    configs = importlib.import_module("ostris_ai_toolkit.toolkit.config_modules")

    def same(width: int, height: int, resolution: int) -> bool:
        theirs = buckets.get_bucket_for_image_size(width, height, resolution=resolution, divisibility=64)
        return (theirs["width"], theirs["height"]) == ai_toolkit(width, height, resolution).bucket

    print(f"| ai-toolkit 0.2.7 | buckets | {agreement(same, count)} |", flush=True)
    yaml = importlib.import_module("yaml")
    job = yaml.safe_load((exports / "ai-toolkit/config.yaml").read_text())["config"]["process"][0]
    sets = [configs.DatasetConfig(**d) for d in configs.preprocess_dataset_raw_config(job["datasets"])]
    folders = all((exports / "ai-toolkit" / d.folder_path).is_dir() for d in sets)
    parts = {"train": "TrainConfig", "model": "ModelConfig", "save": "SaveConfig"}
    parts |= {"network": "NetworkConfig", "sample": "SampleConfig"}
    for key, kind in parts.items():
        getattr(configs, kind)(**job[key])
    print(f"| | its config classes | {len(sets)} datasets, folders there: {folders}; {', '.join(parts)} |")


def see_simpletuner(exports: Path, count: int) -> None:
    image = importlib.import_module("simpletuner.helpers.multiaspect.image").MultiaspectImage

    def same(width: int, height: int, resolution: int) -> bool:
        aspect = image.calculate_image_aspect_ratio((width, height))
        target, scaled, _ = image.calculate_new_size_by_pixel_area(
            aspect, resolution**2 / 1e6, (width, height)
        )
        ours = simpletuner(width, height, resolution)
        return (target, scaled) == (ours.bucket, ours.scaled)

    print(f"| SimpleTuner 3.1.6 | buckets and scaling | {agreement(same, count)} |", flush=True)
    config = importlib.import_module("simpletuner.helpers.data_backend.config")
    backends = json.loads((exports / "simpletuner/config/multidatabackend.json").read_text())
    arguments = {
        "model_type": "lora", "model_family": "flux", "resolution": 1024, "resolution_type": "pixel_area",
        "cache_dir": "cache", "controlnet": False, "caption_strategy": "filename", "minimum_image_size": 0,
        "maximum_image_size": None, "target_downsample_size": None, "train_batch_size": 1, "output_dir": "o",
        "data_backend_config": "x", "metadata_update_interval": 60, "compress_disk_cache": False,
        "delete_unwanted_images": False, "delete_problematic_images": False, "vae_batch_size": 1,
        "write_batch_size": 1, "read_batch_size": 1, "max_num_samples": None, "skip_file_discovery": "",
        "vae_cache_clear_each_epoch": False, "aws_max_pool_connections": 1,
        "preserve_data_backend_cache": False, "override_dataset_config": False,
    }  # fmt: skip
    accepted = []
    for backend in backends:
        made = config.create_backend_config(backend, arguments)
        made.validate(arguments)
        accepted.append(made.id)
    print(f"| | its backend configs, validated | {', '.join(accepted)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, default=20_000)
    arguments = parser.parse_args()
    assert {"ai-toolkit", "simpletuner"} <= LAYOUTS.keys()
    with tempfile.TemporaryDirectory() as folder:
        exports = exported(Path(folder))
        unpacked(Path(folder))
        print("| trainer | what of it was run | agreed |\n|---|---|---|", flush=True)
        see_ai_toolkit(exports, arguments.sizes)
        see_simpletuner(exports, arguments.sizes)


if __name__ == "__main__":
    main()
