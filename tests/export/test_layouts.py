"""The contract that every layout must keep, and what each trainer's own loader or schema makes of it."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import voluptuous
import yaml
from PIL import Image

from lora_builder.base_models import BASE_MODELS
from lora_builder.errors import BadSettings
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS, Entry, Layout, Material, Shard, chosen
from lora_builder.export.write import package, readme, write_layouts
from lora_builder.records import Decision
from lora_builder.settings import Settings, load

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

EVERY = [pytest.param(layout, id=layout.name) for layout in LAYOUTS.values()]
TRAINED = [
    pytest.param(layout, base, id=f"{layout.name}-{base}")
    for layout in LAYOUTS.values()
    for base in layout.bases or BASE_MODELS
]

DESTRUCTIVE = re.compile(r"delete|remove|overwrite|wipe|purge|clean|unlink", re.IGNORECASE)


def for_base(material: Material, base: str) -> Material:
    return Material(
        material.images, material.settings.model_copy(update={"base_model": base}), material.classes
    )


def text(entries: Iterator[Entry], path: str) -> str:
    return next(bytes(e.content).decode() for e in entries if e.path == path)  # type: ignore[arg-type]


def configs(layout: Layout, material: Material) -> Iterator[tuple[str, str]]:
    """Every file of the layout that a trainer reads as instructions."""
    for entry in layout.entries(material):
        if isinstance(entry.content, bytes) and entry.path.endswith((".toml", ".yaml", ".json")):
            yield entry.path, entry.content.decode()


@pytest.fixture
def exported(
    tmp_path: Path, material: Material, decisions: list[Decision], request: pytest.FixtureRequest
) -> Path:
    """One layout on disk, with masks and class pictures."""
    settings = material.settings.model_copy(update={"layouts": (request.param,), "export_as": "folder"})
    (folder,) = write_layouts(tmp_path / "out", material.images, decisions, settings, material.classes)
    return folder


@pytest.mark.parametrize("layout", EVERY)
def test_every_picture_is_there_with_its_caption(layout: Layout, material: Material) -> None:
    """Nothing is lost on the way to any trainer: each picture, each caption, on one line, once."""
    material = for_base(material, layout.bases[0] if layout.bases else "sdxl")
    members: dict[str, Any] = {}
    for entry in layout.entries(material):
        if isinstance(entry.content, Shard):
            members |= dict(entry.content.members)
        else:
            members[entry.path] = entry.content
    for image in material.images:
        assert list(members.values()).count(image.image) == 1
        caption = " ".join(image.caption.split())
        holders = [
            v
            for v in members.values()
            if isinstance(v, bytes) and caption.encode() in v.replace(b'\\"', b'"')
        ]
        assert holders, f"{layout.name} lost the caption of {image.name}"


@pytest.mark.parametrize("layout", EVERY)
def test_paths_are_relative_neutral_and_unique(layout: Layout, material: Material) -> None:
    """A package works wherever it is unpacked, on any system, and says nothing of this machine."""
    material = for_base(material, layout.bases[0] if layout.bases else "sdxl")
    paths = [entry.path for entry in layout.entries(material)]
    assert len({path.lower() for path in paths}) == len(paths)
    for path in paths:
        assert re.fullmatch(r"[A-Za-z0-9_. /-]+", path) and not path.startswith("/") and ".." not in path
    for path, content in configs(layout, material):
        assert not re.search(r"(?<![\w:/.-])/(home|tmp|root|work|Users)|[A-Z]:\\\\", content), path
        assert str(Path.home()) not in content


@pytest.mark.parametrize(("layout", "base"), TRAINED)
def test_nothing_tells_a_trainer_to_delete_or_to_publish(
    layout: Layout, base: str, material: Material
) -> None:
    """No key that destroys files (SimpleTuner has several), none that uploads anything."""
    for path, content in configs(layout, for_base(material, base)):
        keys = re.findall(r'^[\s-]*"?([A-Za-z_]\w*)"?\s*[:=]\s*(.*)$', content, re.MULTILINE)
        for key, value in keys:
            assert not DESTRUCTIVE.search(key), f"{path}: {key}"
            if key in ("push_to_hub", "clear_cache_before_training", "continue_last_backup"):
                assert value.strip(" ,").lower() == "false"


@pytest.mark.parametrize(("layout", "base"), TRAINED)
def test_configs_parse_and_the_command_starts_them(layout: Layout, base: str, material: Material) -> None:
    """One command, without an edit but for the words in capitals, and every file that it names is there."""
    material = for_base(material, base)
    paths = {entry.path for entry in layout.entries(material)}
    for path, content in configs(layout, material):
        if path.endswith(".toml"):
            tomllib.loads(content)
        elif path.endswith(".json"):
            json.loads(content)
        else:
            yaml.safe_load(content)
    command = layout.command(material)
    for word in re.findall(r"(?<![\w/.-])([\w/]+\.(?:toml|yaml|json))\b", command):
        assert word in paths
    if layout.rule and not (layout.name == "imagefolder" and base == "krea2"):
        assert command and "\n" not in command
        assert command in readme(layout, material)


@pytest.mark.parametrize("layout", EVERY)
def test_what_a_layout_cannot_hold_it_leaves_out(layout: Layout, material: Material) -> None:
    """Masks and class pictures appear where the trainer reads them, and nowhere else."""
    material = for_base(material, layout.bases[0] if layout.bases else "sdxl")
    contents: list[Any] = []
    for entry in layout.entries(material):
        shard = entry.content.members if isinstance(entry.content, Shard) else ((entry.path, entry.content),)
        contents += [content for _, content in shard]
    assert all((image.mask in contents) == layout.masks for image in material.images)
    assert all((picture.image in contents) == layout.classes for picture in material.classes)
    plain = Material([TrainingImage(i.name, i.image, i.caption) for i in material.images], material.settings)
    assert not any("mask" in entry.path for entry in layout.entries(plain))


@pytest.mark.parametrize("quirk", ['o\'hwx "quoted"', "日本 : #", "a/b\\c", "{{x}} ${y} [z]"])
@pytest.mark.parametrize("layout", EVERY)
def test_a_hostile_trigger_stays_a_word(layout: Layout, quirk: str, material: Material) -> None:
    """Whatever the trigger is, configs parse, and folders have names that every system takes."""
    settings = material.settings.model_copy(
        update={"trigger": quirk, "base_model": layout.bases[0] if layout.bases else "sdxl"}
    )
    strange = Material(material.images, settings, material.classes)
    for path, content in configs(layout, strange):
        parsed: Any = tomllib.loads(content) if path.endswith(".toml") else yaml.safe_load(content)
        assert parsed
        if layout.name == "ai-toolkit":
            assert parsed["config"]["process"][0]["trigger_word"] == quirk
    for entry in layout.entries(strange):
        assert not re.search(r'[\\:*?"<>|$]', entry.path)


@pytest.mark.parametrize("count", [1, 12, 30, 400])
def test_repeats_and_steps_follow_from_the_number_of_pictures(count: int, material: Material) -> None:
    """Few pictures are seen more often; about 2,000 steps whatever the number, until there are many."""
    many = Material([material.images[0]] * count, material.settings)
    assert many.repeats == max(1, round(200 / count))
    assert many.steps == 10 * many.repeats * count
    assert str(many.steps) in many.derived


def test_unknown_layouts_are_named() -> None:
    """A misspelt layout is refused with the list of those there are."""
    with pytest.raises(BadSettings, match=r"koya.*kohya"):
        chosen(("koya",))
    assert [layout.name for layout in chosen(("kohya", "plain", "kohya"))] == ["kohya", "plain"]


# What sd-scripts' and musubi-tuner's schemas accept, restated from their config_util.py/config_utils.py
WHOLE, FLAG, TEXT = int, bool, str
SIDES = voluptuous.Any(int, voluptuous.ExactSequence([int, int]))
KOHYA_DATASET = {
    "batch_size": WHOLE, "bucket_no_upscale": FLAG, "bucket_reso_steps": WHOLE, "enable_bucket": FLAG,
    "max_bucket_reso": WHOLE, "min_bucket_reso": WHOLE, "resolution": SIDES,
}  # fmt: skip
KOHYA_SUBSET = {
    "num_repeats": WHOLE, "shuffle_caption": FLAG, "keep_tokens": WHOLE, "caption_extension": TEXT,
}  # fmt: skip
KOHYA_PLAIN = {**KOHYA_SUBSET, voluptuous.Required("image_dir"): TEXT, "is_reg": FLAG, "class_tokens": TEXT}
KOHYA_MASKED = {
    **KOHYA_SUBSET,
    voluptuous.Required("image_dir"): TEXT,
    voluptuous.Required("conditioning_data_dir"): TEXT,
}
MUSUBI_COMMON = {
    "caption_extension": TEXT, "batch_size": WHOLE, "num_repeats": WHOLE, "resolution": SIDES,
    "enable_bucket": FLAG, "bucket_no_upscale": FLAG,
}  # fmt: skip


@pytest.mark.parametrize("exported", ["kohya"], indirect=True)
def test_kohya_takes_the_toml(exported: Path) -> None:
    """Its schema rejects unknown keys, and masks beside class pictures; each mask has its picture."""
    config = tomllib.loads((exported / "dataset.toml").read_text("utf-8"))
    voluptuous.Schema({**KOHYA_DATASET, **KOHYA_SUBSET})(config["general"])
    folders = []
    for dataset in config["datasets"]:
        masked = all("conditioning_data_dir" in subset for subset in dataset["subsets"])
        subset = KOHYA_MASKED if masked else KOHYA_PLAIN
        voluptuous.Schema({**KOHYA_DATASET, "subsets": [subset]})(dataset)
        folders += [s["image_dir"] for s in dataset["subsets"]]
    assert folders == ["img/67_ohwx woman", "reg/1_woman"]
    assert config["datasets"][0]["resolution"] == 1024 and config["datasets"][0]["max_bucket_reso"] == 2048
    pictures = {p.stem for p in (exported / folders[0]).glob("*.png")}
    assert pictures == {p.stem for p in (exported / "masks").iterdir()} == {"0001", "0001_face", "0002"}
    assert "--masked_loss" in (exported / "README.txt").read_text("utf-8")


@pytest.mark.parametrize("base", ["flux2", "qwen-image", "z-image", "krea2"])
def test_musubi_takes_the_toml(base: str, material: Material) -> None:
    """Its schema rejects unknown keys; every dataset needs a cache of its own."""
    config = tomllib.loads(text(LAYOUTS["musubi"].entries(for_base(material, base)), "dataset.toml"))
    voluptuous.Schema(MUSUBI_COMMON)(config["general"])
    dataset = {**MUSUBI_COMMON, "image_directory": TEXT, "cache_directory": TEXT}
    voluptuous.Schema([dataset])(config["datasets"])
    caches = [dataset["cache_directory"] for dataset in config["datasets"]]
    assert len(set(caches)) == len(caches) == len(BASE_MODELS[base].resolutions)


@pytest.mark.parametrize("base", LAYOUTS["ai-toolkit"].bases)
def test_ai_toolkit_finds_what_it_needs(base: str, material: Material) -> None:
    """Keys as in its DatasetConfig; no mask may weigh nothing everywhere."""
    job = yaml.safe_load(text(LAYOUTS["ai-toolkit"].entries(for_base(material, base)), "config.yaml"))
    (process,) = job["config"]["process"]
    subject, regular = process["datasets"]
    known = {
        "folder_path", "caption_ext", "caption_dropout_rate", "resolution", "cache_latents_to_disk",
        "num_repeats", "is_reg", "mask_path", "mask_min_value",
    }  # fmt: skip
    assert subject.keys() | regular.keys() <= known
    assert subject["mask_min_value"] > 0 and subject["mask_path"] == "masks"
    assert subject["resolution"] == list(BASE_MODELS[base].resolutions)
    assert isinstance(process["train"]["lr"], float) or float(process["train"]["lr"]) == 1e-4
    assert process["train"]["noise_scheduler"] == ("ddpm" if base == "sdxl" else "flowmatch")
    assert process["trigger_word"] == "ohwx" and regular["is_reg"] is True


@pytest.mark.parametrize("exported", ["onetrainer"], indirect=True)
def test_onetrainer_pairs_masks_and_augments_nothing(exported: Path) -> None:
    """Masks lie beside their pictures; crop jitter, which cuts faces, is off."""
    subject, regular = json.loads((exported / "concepts.json").read_text())
    assert subject["type"] == "STANDARD" and regular["type"] == "PRIOR_PREDICTION"
    assert not any(value for key, value in subject["image"].items() if key != "__version")
    for concept in (subject, regular):
        folder = exported / concept["path"]
        assert all(p.with_suffix(".txt").exists() for p in folder.iterdir() if "-mask" not in p.name)
    assert {p.name for p in (exported / "dataset").glob("*-masklabel.png")} == {
        "0001-masklabel.png", "0001_face-masklabel.png", "0002-masklabel.png",
    }  # fmt: skip
    config = json.loads((exported / "train.json").read_text())
    assert config["concept_file_name"] == "concepts.json" and config["masked_training"] is True


@pytest.mark.parametrize("base", LAYOUTS["diffusion-pipe"].bases)
def test_diffusion_pipe_finds_what_it_needs(base: str, material: Material) -> None:
    """Not more than three resolutions, or it stops and asks; paths to folders that are there."""
    entries = list(LAYOUTS["diffusion-pipe"].entries(for_base(material, base)))
    config = tomllib.loads(text(iter(entries), "dataset.toml"))
    assert 1 <= len(config["resolutions"]) <= 3 and config["enable_ar_bucket"] is True
    folders = {entry.path.partition("/")[0] for entry in entries}
    for directory in config["directory"]:
        assert directory.keys() <= {"path", "mask_path", "num_repeats"}
        assert {directory["path"], directory.get("mask_path", "masks")} <= folders
    train = tomllib.loads(text(iter(entries), "train.toml"))
    assert (
        train["dataset"] == "dataset.toml" and train["model"]["type"] and train["adapter"]["type"] == "lora"
    )
    weights = {"sdxl": {"checkpoint_path"}} | {name: {"diffusers_path"} for name in ("flux", "qwen-image")}
    files = {"diffusion_model", "vae", "text_encoders"}
    assert weights.get(base, files) <= train["model"].keys(), "where its pipeline looks for the weights"
    if base not in weights:
        assert all(encoder.keys() == {"path", "type"} for encoder in train["model"]["text_encoders"])


@pytest.mark.parametrize("base", LAYOUTS["simpletuner"].bases)
def test_simpletuner_has_its_backends(base: str, material: Material) -> None:
    """One default text cache, ids that are told apart, masks paired, captions of one line."""
    entries = list(LAYOUTS["simpletuner"].entries(for_base(material, base)))
    backends = json.loads(text(iter(entries), "config/multidatabackend.json"))
    assert [b["id"] for b in backends] == ["subject", "masks", "regularisation", "text-embeds"]
    assert [b.get("default") for b in backends if b["dataset_type"] == "text_embeds"] == [True]
    assert backends[0]["conditioning_data"] == "masks" and backends[1]["conditioning_type"] == "mask"
    assert backends[2]["is_regularisation_data"] is True
    assert len({b.get("cache_dir_vae") for b in backends}) == 4
    config = json.loads(text(iter(entries), "config/config.json"))
    assert config["data_backend_config"] == "config/multidatabackend.json" and config["max_train_steps"] > 0


@pytest.mark.parametrize("exported", ["imagefolder"], indirect=True)
def test_datasets_loads_the_imagefolder(
    exported: Path, material: Material, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Hugging Face's own loader gives every picture, caption and mask back, offline."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(exported / "train"), cache_dir=str(tmp_path / "hf"), split="train"
    )
    assert set(loaded.column_names) == {"image", "text", "mask"}
    rows = sorted(loaded, key=lambda row: row["text"])
    wanted = sorted(material.images, key=lambda image: image.caption)
    assert [row["text"] for row in rows] == [image.caption.strip() for image in wanted]
    for row, image in zip(rows, wanted, strict=True):
        assert row["image"].size == Image.open(image.image).size == row["mask"].size
    again = datasets.load_dataset(str(exported), cache_dir=str(tmp_path / "hf2"), split="train")
    assert len(again) == 3, "as diffusers' scripts load it: --dataset_name ."


@pytest.mark.parametrize("exported", ["webdataset"], indirect=True)
def test_webdataset_streams_the_shards(exported: Path, material: Material) -> None:
    """The library's own loader pairs picture, caption and mask by stem."""
    webdataset = pytest.importorskip("webdataset")
    shards = [str(path) for path in sorted((exported / "shards").iterdir())]
    rows = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [row["__key__"] for row in rows] == ["0001", "0001_face", "0002"]
    for row, image in zip(rows, material.images, strict=True):
        assert row["txt"] == image.caption.strip()
        assert row["png"].size == row["mask.png"].size == Image.open(image.image).size
    with tarfile.open(shards[0]) as archive:
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in archive} == {(0, 0, 0, "")}


@pytest.mark.parametrize("layout", EVERY)
def test_the_same_material_gives_the_same_files(layout: Layout, material: Material) -> None:
    """A layout depends on nothing but what it is given."""
    material = for_base(material, layout.bases[0] if layout.bases else "sdxl")
    assert list(package(layout, material)) == list(package(layout, material))


def test_settings_and_layouts_name_the_same_base_models() -> None:
    """Every base model that can be set has a preset, and somebody who trains it."""
    allowed = set(Settings.model_fields["base_model"].annotation.__args__)  # type: ignore[union-attr]
    assert allowed == set(BASE_MODELS)
    for base in BASE_MODELS:
        load(base_model=base)
        assert sum(base in layout.bases for layout in LAYOUTS.values()) >= 3
