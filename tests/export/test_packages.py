"""Writing, checking and comparing packages."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from lora_builder.cli import app
from lora_builder.errors import BadArchive, BadInput, BadSettings
from lora_builder.export.classes import class_images
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS, Entry, Material
from lora_builder.export.packages import diff, read_project, verify
from lora_builder.export.plan import plan
from lora_builder.export.write import write_exports, write_layouts
from lora_builder.export.writer import write_zip
from lora_builder.records import Box, Decision
from lora_builder.settings import Settings, load
from lora_builder.sums import Sum, Sums

ALL = tuple(name for name in LAYOUTS if name != "musubi")
"""Every layout that trains SDXL."""


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


@pytest.fixture
def both(named: Settings) -> Settings:
    return named.model_copy(update={"layouts": ALL})


def test_the_same_project_exported_twice_gives_the_same_bytes(
    tmp_path: Path, material: Material, decisions: list[Decision], both: Settings
) -> None:
    """Every file of every layout, folder and ZIP, in any folder, at any time, in any order of pictures."""
    for name, images in (("x", material.images), ("y", list(reversed(material.images)))):
        images = sorted(images, key=lambda image: image.name)
        write_exports(tmp_path / name, images, decisions, both)
        os.utime(tmp_path / name / "dataset" / "0001.png", (0, 0))
    assert tree(tmp_path / "x") == tree(tmp_path / "y")
    first = tree(tmp_path / "x")
    write_exports(tmp_path / "x", material.images, decisions, both)
    assert tree(tmp_path / "x") == first
    assert {f"exports/{name}.zip" for name in ALL} < first.keys()


def test_every_export_passes_its_own_check(
    tmp_path: Path, material: Material, decisions: list[Decision], both: Settings
) -> None:
    """`verify` reads each folder and ZIP to the last byte and finds them whole."""
    write_exports(tmp_path, material.images, decisions, both)
    made = write_layouts(tmp_path, material.images, decisions, both, material.classes)
    assert len(made) == 2 * len(ALL)
    for path in [tmp_path, tmp_path / "train_package.zip", *made]:
        checked = verify(path)
        assert checked.faults == (), path
        assert checked.images == 3 and checked.files >= 1


def test_packages_tell_nothing_of_their_owner(
    tmp_path: Path, material: Material, decisions: list[Decision], both: Settings
) -> None:
    """No input file's name, no path of this machine, no consent text, in any byte of any package."""
    settings = both.model_copy(update={"consent": "signed by Eileen", "regularisation": tmp_path / "private"})
    write_layouts(tmp_path, material.images, decisions, settings, material.classes)
    for path in (tmp_path / "exports").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in (b"Eileen", str(tmp_path).encode(), b"private"):
                assert secret not in data, path


def test_a_trained_lora_in_an_export_is_never_deleted(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings
) -> None:
    """What the trainer or the user left there is moved aside; what we wrote is replaced."""
    settings = named.model_copy(update={"layouts": ("kohya",), "export_as": "folder"})
    (folder,) = write_layouts(tmp_path, material.images, decisions, settings)
    (folder / "output").mkdir()
    (folder / "output" / "lora.safetensors").write_bytes(b"two days of training")
    caption = next(folder.glob("img/*/0001.txt"))
    caption.write_text("rewritten by hand")
    write_layouts(tmp_path, material.images, decisions, settings)
    aside = tmp_path / "exports" / "kohya.yours-1"
    assert tree(aside).keys() == {"output/lora.safetensors", caption.relative_to(folder).as_posix()}
    assert verify(folder).faults == ()
    write_layouts(tmp_path, material.images, decisions, settings)
    assert not (tmp_path / "exports" / "kohya.yours-2").exists(), "nothing of the user's, nothing aside"


@pytest.mark.parametrize("step", range(1, 60, 3))
def test_a_kill_leaves_the_old_or_the_new_export(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings, step: int
) -> None:
    """Wherever the writing dies, one whole package is there, and the next export finishes the same."""
    settings = named.model_copy(update={"layouts": ("ai-toolkit",)})
    small = [replace(image, mask=None) for image in material.images]
    write_layouts(tmp_path, small[:1], decisions, settings)
    old = tree(tmp_path / "exports" / "ai-toolkit")
    process = multiprocessing.get_context("fork").Process(
        target=_die_at, args=(step, tmp_path, small, decisions, settings)
    )
    process.start()
    process.join(60)
    write_layouts(tmp_path / "whole", small, decisions, settings)
    new = tree(tmp_path / "whole" / "exports" / "ai-toolkit")
    places = [tmp_path / "exports" / name for name in ("ai-toolkit", ".ai-toolkit.old")]
    assert any(tree(place) in (old, new) for place in places if place.exists())
    archive = tmp_path / "exports" / "ai-toolkit.zip"
    assert zipfile.ZipFile(archive).testzip() is None
    write_layouts(tmp_path, small, decisions, settings)
    assert tree(tmp_path / "exports" / "ai-toolkit") == new
    left = {path.name for path in (tmp_path / "exports").iterdir() if not path.name.endswith(".tmp")}
    assert left == {"ai-toolkit", "ai-toolkit.zip"}


def _die_at(
    step: int, folder: Path, images: list[TrainingImage], decisions: list[Decision], settings: Settings
) -> None:
    """Ends this process, as SIGKILL would, at the given call of the operating system."""
    left = [step]

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os._exit(9)
            return call(*args, **kwargs)

        return wrapped

    for name in ("replace", "mkdir", "open", "unlink", "rmdir"):
        setattr(Path, name, dying(getattr(Path, name)))
    for name in ("fsync", "open"):
        setattr(os, name, dying(getattr(os, name)))
    write_layouts(folder, images, decisions, settings)


@pytest.fixture
def exported(tmp_path: Path, material: Material, decisions: list[Decision], named: Settings) -> Path:
    settings = named.model_copy(update={"layouts": ("ai-toolkit",), "export_as": "folder"})
    (folder,) = write_layouts(tmp_path, material.images, decisions, settings)
    return folder


def _save(path: Path, **more: Any) -> None:
    with Image.open(path) as image:
        image.load()
    image.save(path, **more)


def _exif(path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    _save(path, exif=exif)


SPOILT: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a picture is gone": ("missing", lambda f: (f / "dataset/0001.png").unlink()),
    "a picture is cut short": (
        "picture",
        lambda f: (f / "dataset/0001.png").write_bytes((f / "dataset/0001.png").read_bytes()[:900]),
    ),
    "one bit flipped": (
        "changed",
        lambda f: (f / "config.yaml").write_bytes((f / "config.yaml").read_bytes()[:-1] + b"!"),
    ),
    "a stranger's picture": ("extra", lambda f: shutil.copy(f / "dataset/0001.png", f / "dataset/9.png")),
    "an empty caption": ("caption", lambda f: (f / "dataset/0002.txt").write_bytes(b" \n")),
    "two lines": ("caption", lambda f: (f / "dataset/0002.txt").write_text("one\ntwo")),
    "not UTF-8": ("caption", lambda f: (f / "dataset/0002.txt").write_bytes(b"\xff\xfe")),
    "EXIF": ("metadata", lambda f: _exif(f / "dataset/0001.png")),
    "a comment": ("metadata", lambda f: _save(f / "dataset/0001.png", icc_profile=b"x" * 200)),
    "a black mask": ("mask", lambda f: Image.new("L", (1024, 1024)).save(f / "masks/0001.png")),
    "a mask of another size": ("mask", lambda f: Image.new("L", (64, 64), 255).save(f / "masks/0001.png")),
    "a mask in colour": (
        "mask",
        lambda f: Image.new("RGB", (1024, 1024), "white").save(f / "masks/0001.png"),
    ),
    "a mask is gone": ("mask", lambda f: (f / "masks/0001.png").unlink()),
    "a link": (
        "unreadable",
        lambda f: ((f / "dataset/0001.txt").unlink(), (f / "dataset/0001.txt").symlink_to("/etc/hostname")),
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_verify_finds_what_a_trainer_would_trip_over(exported: Path, how: str) -> None:
    """Each known trap has a code and names the file."""
    code, spoil = SPOILT[how]
    spoil(exported)
    found = verify(exported)
    assert code in {fault.code for fault in found.faults}, found.faults
    assert all(fault.message and fault.path for fault in found.faults)


def test_verify_refuses_what_is_no_package(tmp_path: Path) -> None:
    """A folder of photos, a broken ZIP, nothing at all: said plainly."""
    with pytest.raises(BadInput, match=re.escape(str(tmp_path))):
        verify(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(BadArchive):
        verify(tmp_path / "x.zip")
    with pytest.raises(BadInput):
        verify(tmp_path / "absent")


def test_diff_says_what_changed(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings
) -> None:
    """Pictures by what they show, captions, crops, edits, settings and reasons, not by file number."""
    settings = named.model_copy(update={"layouts": ("plain",), "export_as": "zip"})
    write_layouts(tmp_path / "one", material.images, decisions, settings)
    first, face, second = material.images
    assert first.crop is not None
    changed = [
        replace(first, caption="ohwx woman, outside.", crop=replace(first.crop, box=Box(9, 9, 1024, 1024))),
        replace(second, edits="sharpen=0.3", name="0003"),
    ]
    other = [*decisions[:2], replace(decisions[2], reason="same_shot")]
    write_layouts(tmp_path / "two", changed, other, settings.model_copy(update={"class_word": "person"}))
    one, two = (tmp_path / name / "exports" / "plain.zip" for name in ("one", "two"))
    found = diff(one, two)
    assert found.removed == (face.name,) and found.added == ()
    assert found.recropped == ("0001",) and found.reedited == ("0003",)
    assert found.recaptioned[0][2] == "ohwx woman, outside."
    assert ("class_word", "woman", "person") in found.settings
    assert found.photos == (("c" * 64, "near_duplicate", "same_shot"),)
    assert diff(one, one).same


def test_a_project_is_read_back_for_a_later_export(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings
) -> None:
    """A layout chosen next week is the same as if it had been chosen at once."""
    write_exports(
        tmp_path / "now", material.images, decisions, named.model_copy(update={"layouts": ("kohya",)})
    )
    write_exports(tmp_path / "later", material.images, decisions, named)
    again = read_project(tmp_path / "later")
    assert [image.name for image in again] == [image.name for image in material.images]
    settings = named.model_copy(update={"layouts": ("kohya",)})
    write_layouts(tmp_path / "later", again, decisions, settings)
    assert tree(tmp_path / "now" / "exports") == tree(tmp_path / "later" / "exports")


def test_masks_that_are_not_wanted_any_more_go(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings
) -> None:
    """masks/ beside dataset/ is there with masks, and not without."""
    write_exports(tmp_path, material.images, decisions, named)
    assert len(list((tmp_path / "masks").glob("*.png"))) == 3
    write_exports(tmp_path, [replace(image, mask=None) for image in material.images], decisions, named)
    assert not (tmp_path / "masks").exists()


def test_class_pictures_lose_names_and_metadata(tmp_path: Path, portrait: Image.Image) -> None:
    """Regularisation pictures are upright, small enough, neutral; a text beside one is its caption."""
    folder = tmp_path / "women"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    portrait.resize((600, 400)).save(folder / "Anna Müller.jpg", exif=exif)
    (folder / "Anna Müller.txt").write_text("a woman\nin a park")
    portrait.resize((3000, 3000)).save(folder / "b.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    settings = load(regularisation=folder, class_word="woman", data_dir=tmp_path / "data")
    made = class_images(tmp_path / "cache", settings)
    assert [picture.name for picture in made] == ["0001", "0002"]
    assert {picture.caption for picture in made} == {"a woman in a park", "woman"}
    sizes = set()
    for picture in made:
        with Image.open(picture.image) as image:
            assert not image.getexif()
            sizes.add(image.size)
    assert sizes == {(400, 600), (2048, 2048)}
    (folder / "b.png").unlink()
    (folder / "Anna Müller.jpg").unlink()
    with pytest.raises(BadInput, match="class pictures"):
        class_images(tmp_path / "cache", settings)


def test_the_plan_tells_before_anything_is_written(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings
) -> None:
    """Files, bytes, buckets, steps and the command are those of the export that follows."""
    settings = named.model_copy(update={"layouts": ALL, "export_as": "folder"})
    found = plan(material.images, settings, material.classes)
    assert not found.blocked and found.images == 3
    paths = write_layouts(tmp_path, material.images, decisions, settings, material.classes)
    for layout, path in zip(found.layouts, paths, strict=True):
        files = [file for file in path.rglob("*") if file.is_file()]
        assert layout.files == len(files), layout.name
        ours = sum(f.stat().st_size for f in files if f.name not in ("README.txt", "manifest.json"))
        assert layout.bytes == pytest.approx(ours, rel=0.02), layout.name
        assert layout.command in (path / "README.txt").read_text("utf-8")
        if layout.previews:
            assert sum(count for _, count in layout.buckets) == 3


def test_the_plan_names_what_blocks_and_what_only_hurts(material: Material, named: Settings) -> None:
    """A trainer that cannot, an empty caption, a half-masked set block; cut or tiny faces are told."""
    first = material.images[0]

    def codes(images: list[TrainingImage], **more: Any) -> dict[str, bool]:
        found = plan(images, named.model_copy(update={"layouts": ("imagefolder",), **more}))
        return {p.code: p.blocks for p in (*found.problems, *(q for x in found.layouts for q in x.problems))}

    assert codes([]) == {"empty": True}
    assert codes([replace(first, caption=" ")])["no_caption"]
    assert codes([first, replace(material.images[1], mask=None)])["no_mask"]
    assert codes([first], layouts=("musubi",))["base_model"]
    assert codes([first], layouts=("musubi",), base_model="flux2") == {"masks": False}
    tall = replace(material.images[2], face=Box(300, 10, 200, 240))
    assert codes([tall])["face_cut"] is False
    assert "face_small" in codes([replace(first, face=Box(500, 500, 60, 70))])
    assert "enlarged" in codes([material.images[1]])
    with pytest.raises(BadSettings, match="musubi"):
        write_layouts(Path("/nowhere"), [first], [], named.model_copy(update={"layouts": ("musubi",)}))


def test_manifests_say_who_wrote_each_caption_and_why_each_photo(
    tmp_path: Path, material: Material, decisions: list[Decision], both: Settings
) -> None:
    """The project's names sources; a package's knows them by hash alone."""
    write_exports(tmp_path, material.images, decisions, both)
    project = json.loads((tmp_path / "manifest.json").read_text())
    inside = json.loads((tmp_path / "exports" / "kohya" / "manifest.json").read_text())
    assert [photo["source"] for photo in project["photos"]] == [line.source for line in decisions]
    assert project["photos"][2]["because_of"] == "Eileen Collins a.jpg"
    assert inside["photos"][2] == {
        "sha256": "c" * 64, "verdict": "dropped", "reason": "near_duplicate", "because_of": "a" * 64,
    }  # fmt: skip
    for manifest in (project, inside):
        assert [image["caption_by"] for image in manifest["images"]] == ["composer"] * 3
        assert manifest["models"] and manifest["settings"]["trigger"] == "ohwx"
        for file in manifest["files"]:
            assert len(file["sha256"]) == 64


@pytest.mark.parametrize("kernel", [True, False])
def test_zips_are_those_that_python_writes(
    tmp_path: Path, images: list[TrainingImage], monkeypatch: pytest.MonkeyPatch, kernel: bool
) -> None:
    """Byte for byte, whether the kernel copies the pictures into it or cannot."""
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    entries = [Entry("a/ünï.txt", b"text"), *(Entry(f"a/{i.name}.png", i.image) for i in images)]
    write_zip(tmp_path / "ours.zip", entries, Sums(), lambda written: b"{}")
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        for name, data in [
            *(
                (e.path, e.content.read_bytes() if isinstance(e.content, Path) else e.content)
                for e in entries
            ),
            ("manifest.json", b"{}"),
        ]:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)  # type: ignore[arg-type]
    assert (tmp_path / "ours.zip").read_bytes() == (tmp_path / "theirs.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "ours.zip").testzip() is None


def test_a_picture_that_changes_under_the_export_stops_it(
    tmp_path: Path, images: list[TrainingImage]
) -> None:
    """No ZIP appears whose checksums are of other bytes."""
    path = tmp_path / "0001.png"
    shutil.copyfile(images[0].image, path)

    class Sly(Sums):
        def of(self, path: Path) -> Sum:
            found = super().of(path)
            with path.open("ab") as file:
                file.write(b"more")
            return found

    with pytest.raises(BadInput, match="changed while"):
        write_zip(tmp_path / "x.zip", [Entry("0001.png", path)], Sly(), lambda written: b"{}")
    assert not (tmp_path / "x.zip").exists()


def test_an_export_no_longer_chosen_goes_once_it_is_out_of_date(
    tmp_path: Path, material: Material, decisions: list[Decision], both: Settings
) -> None:
    """As long as it holds the set it stays; then only what we wrote goes, and a trained LoRA is kept."""
    write_exports(tmp_path, material.images, decisions, both)
    one = both.model_copy(update={"layouts": ("kohya",)})
    write_exports(tmp_path, material.images, decisions, one)
    exports = tmp_path / "exports"
    assert {f"{name}.zip" for name in ALL} < {path.name for path in exports.iterdir()}
    (exports / "ai-toolkit" / "output").mkdir()
    (exports / "ai-toolkit" / "output" / "lora.safetensors").write_bytes(b"a night of training")
    with zipfile.ZipFile(exports / "plain.zip", "a") as theirs:
        theirs.writestr("notes.txt", "mine")
    (exports / "simpletuner.zip").write_bytes(b"not a ZIP of ours")
    changed = [replace(material.images[0], caption="another one"), *material.images[1:]]
    write_exports(tmp_path, changed, decisions, one)
    assert {path.name for path in exports.iterdir()} == {
        "kohya", "kohya.zip", "ai-toolkit.yours-1", "plain.zip", "simpletuner.zip",
    }  # fmt: skip
    kept = [path for path in (exports / "ai-toolkit.yours-1").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in kept] == [b"a night of training"]


def test_what_changed_is_said_in_words(
    tmp_path: Path, material: Material, decisions: list[Decision], named: Settings
) -> None:
    """`diff` names pictures, both captions and both values of a setting; `verify` counts properly."""
    one, other = (
        named.model_copy(update={"layouts": ("plain",)}),
        named.model_copy(update={"layouts": ("plain",), "recipe": "gentle"}),
    )
    write_layouts(tmp_path / "a", material.images, decisions, one)
    changed = [replace(material.images[0], caption="ohwx from behind"), *material.images[1:]]
    write_layouts(tmp_path / "b", changed, decisions, other)
    packages = [str(tmp_path / name / "exports" / "plain") for name in "ab"]
    said = CliRunner().invoke(app, ["diff", *packages]).output
    assert "Captions that changed (1):" in said and "now:    ohwx from behind" in said
    assert "recipe: nothing -> gentle" in said and "[bold]" not in said
    (Path(packages[1]) / "dataset" / "more.txt").write_text("mine")
    checked = CliRunner().invoke(app, ["verify", packages[1]])
    assert checked.exit_code == 1
    assert "3 pictures: 1 fault." in checked.output and "was added since" in checked.output
