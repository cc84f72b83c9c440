"""What a run leaves: decisions, dataset, package and report."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_builder.advice import PhotoFacts, advice, doubts
from lora_builder.errors import BadInput, OutputUnwritable
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts.kohya import dataset_toml
from lora_builder.export.package import build_dataset, record, write_decisions, write_zip
from lora_builder.export.report import write_report
from lora_builder.files import atomic_file, atomic_write
from lora_builder.records import Decision, Reason, Shot
from lora_builder.settings import Settings, load

KEPT = Decision(
    "a.jpg", "aa", 1000, 2000, "kept", "kept", "Kept.", None, {"width": 1000}, 1, (1, 2, 3, 4),
    (100, 500, 800, 800), "dataset/0001.png", "ohwx woman, facing the camera.",
)  # fmt: skip
DROPPED = replace(
    KEPT, source="b.jpg", sha256="bb", verdict="dropped", reason="same_shot",
    detail="Shows the same moment as a.jpg.", because_of="a.jpg", crop=None, output=None, caption=None,
)  # fmt: skip

# https://github.com/kohya-ss/sd-scripts, library/config_util.py: what its schema accepts
KOHYA = {
    "general": {"caption_extension", "shuffle_caption", "keep_tokens"},
    "datasets": {
        "resolution", "batch_size", "enable_bucket", "min_bucket_reso", "max_bucket_reso",
        "bucket_reso_steps", "bucket_no_upscale", "subsets",
    },
    "subsets": {"image_dir", "num_repeats", "class_tokens", "is_reg", "alpha_mask"},
}  # fmt: skip


@pytest.fixture
def entries(tmp_path: Path, portrait: Image.Image) -> list[TrainingImage]:
    """Three finished training images, as the crop stage leaves them."""
    made = []
    for number in (1, 2, 3):
        path = tmp_path / f"crop{number}.png"
        portrait.resize((64 * number, 64)).save(path)
        made.append(TrainingImage(f"{number:04d}", path, f"ohwx woman, {number}\n"))
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_decisions_have_the_promised_fields_one_line_each(tmp_path: Path) -> None:
    """Other tools read decisions.jsonl: fields, order and sorting are those of DESIGN."""
    hostile = replace(KEPT, source="写真\u2028\n\udcff.jpg", scores={"x": float("nan"), "y": 1})
    write_decisions(tmp_path, [hostile, DROPPED, replace(KEPT, source="é\x85.jpg"), KEPT])
    data = (tmp_path / "decisions.jsonl").read_bytes()
    lines = [json.loads(line) for line in data.decode().splitlines()]
    assert [line["source"] for line in lines] == ["a.jpg", "b.jpg", "é\x85.jpg", hostile.source]
    assert list(lines[0]) == [field.name for field in fields(Decision)]
    assert ",".join(lines[0]) == (
        "source,sha256,width,height,verdict,reason,detail,because_of,scores,faces,subject_face,crop,output,"
        "caption"
    )
    assert lines[3]["scores"] == {"y": 1}
    assert "é".encode() in data


@given(st.text(), st.dictionaries(st.text(), st.floats(allow_nan=True)))
def test_any_name_survives_as_json(name: str, scores: dict[str, float]) -> None:
    """A file name comes back from the JSON exactly as it was."""
    made = record(replace(KEPT, source=name, scores=scores))
    assert json.loads(json.dumps(made, allow_nan=False))["source"] == name


def test_dataset_pairs_each_image_with_one_line(
    tmp_path: Path, entries: list[TrainingImage], settings: Settings
) -> None:
    """Each image has a caption of one UTF-8 line, without BOM or line end, and nothing else is there."""
    build_dataset(tmp_path / "out", entries, settings)
    files = tree(tmp_path / "out" / "dataset")
    assert list(files) == ["0001.png", "0001.txt", "0002.png", "0002.txt", "0003.png", "0003.txt"]
    assert files["0002.txt"] == b"ohwx woman, 2"
    assert files["0002.png"] == entries[1].image.read_bytes()
    build_dataset(tmp_path / "out", entries[:1], settings)
    assert list(tree(tmp_path / "out" / "dataset")) == ["0001.png", "0001.txt"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset"]


def test_an_empty_caption_is_refused_and_the_old_dataset_stays(
    tmp_path: Path, entries: list[TrainingImage], settings: Settings
) -> None:
    """Trainers stop at an empty caption: it never reaches the dataset."""
    build_dataset(tmp_path, entries, settings)
    before = tree(tmp_path / "dataset")
    with pytest.raises(BadInput, match="0001"):
        build_dataset(tmp_path, [replace(entries[0], caption=" \n")], settings)
    assert tree(tmp_path / "dataset") == before


def test_files_of_the_user_in_dataset_are_moved_aside_not_deleted(
    tmp_path: Path, entries: list[TrainingImage], settings: Settings
) -> None:
    """A folder that happens to be called dataset loses nothing; a trainer's caches may go."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "holiday.jpg").write_bytes(b"mine")
    build_dataset(tmp_path, entries, settings)
    assert (tmp_path / "dataset.yours-1" / "holiday.jpg").read_bytes() == b"mine"
    (tmp_path / "dataset" / "0001_1024x1024_sdxl.npz").write_bytes(b"cache")
    build_dataset(tmp_path, entries, settings)
    assert not (tmp_path / "dataset.yours-2").exists()
    assert len(tree(tmp_path / "dataset")) == 6


@pytest.mark.parametrize("step", range(1, 26))
def test_a_kill_leaves_the_old_or_the_new_dataset(
    tmp_path: Path, entries: list[TrainingImage], settings: Settings, step: int
) -> None:
    """Wherever a run dies, the next one finds a whole dataset and finishes the same."""
    folder = tmp_path / "out"
    build_dataset(folder, entries[:1], settings)
    old = tree(folder / "dataset")
    process = multiprocessing.get_context("fork").Process(
        target=_die_at, args=(step, folder, entries, settings)
    )
    process.start()
    process.join(30)
    build_dataset(tmp_path / "whole", entries, settings)
    new = tree(tmp_path / "whole" / "dataset")
    survivors = [tree(folder / name) for name in ("dataset", "dataset.old") if (folder / name).exists()]
    assert any(survivor in (old, new) for survivor in survivors)
    build_dataset(folder, entries, settings)
    assert tree(folder / "dataset") == new
    assert [path.name for path in folder.iterdir()] == ["dataset"]


def _die_at(step: int, folder: Path, entries: list[TrainingImage], settings: Settings) -> None:
    """Ends this process, as SIGKILL would, at the given call of the operating system."""
    left = [step]

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os._exit(9)
            return call(*args, **kwargs)

        return wrapped

    for name in ("replace", "mkdir", "open", "unlink"):
        setattr(Path, name, dying(getattr(Path, name)))
    for name in ("fsync", "rename", "unlink", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    build_dataset(folder, entries, settings)


def test_package_is_the_same_bytes_every_time(
    tmp_path: Path, entries: list[TrainingImage], settings: Settings
) -> None:
    """The ZIP depends on the dataset alone: not on the moment, the folder or the order."""
    digests = set()
    for name, order in (("x", entries), ("y", entries[::-1])):
        build_dataset(tmp_path / name, order, settings)
        write_zip(tmp_path / name, order, settings)
        digests.add(hashlib.sha256((tmp_path / name / "train_package.zip").read_bytes()).hexdigest())
        os.utime(tmp_path / name / "dataset" / "0001.png", (0, time.time()))
    assert len(digests) == 1
    with zipfile.ZipFile(tmp_path / "x" / "train_package.zip") as package:
        assert package.testzip() is None
        assert package.namelist()[:3] == ["README.txt", "dataset.toml", "dataset/0001.png"]
        assert package.namelist()[-1] == "manifest.json" and len(package.namelist()) == 9
        assert {info.compress_type for info in package.infolist()} == {zipfile.ZIP_STORED}
        assert b"--dataset_config dataset.toml" in package.read("README.txt")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"base_model": "flux", "caption_style": "tags"},
        {"buckets": ("832x1216", "1216x832")},
        {"resolution": 4096},
        {"resolution": 264},
    ],
)
@pytest.mark.parametrize("images", [0, 1, 20, 999])
def test_kohya_accepts_every_key(images: int, arguments: dict[str, Any]) -> None:
    """The trainer rejects keys it does not know: we write only those of its schema."""
    tomllib = pytest.importorskip("tomllib")
    config = tomllib.loads(dataset_toml(images, load(**arguments)))
    (dataset,) = config["datasets"]
    (subset,) = dataset["subsets"]
    assert config.keys() == {"general", "datasets"}
    for name, table in (("general", config["general"]), ("datasets", dataset), ("subsets", subset)):
        assert table.keys() <= KOHYA[name]
    assert subset["image_dir"] == "dataset"
    assert subset["num_repeats"] >= 1
    assert dataset["resolution"] % 64 == 0
    assert dataset["min_bucket_reso"] <= dataset["resolution"] <= dataset["max_bucket_reso"]
    assert config["general"]["caption_extension"] == ".txt"


def test_an_empty_dataset_still_gives_a_package(tmp_path: Path, settings: Settings) -> None:
    """With nothing kept there is still a package that says so."""
    build_dataset(tmp_path, [], settings)
    write_zip(tmp_path, [], settings)
    with zipfile.ZipFile(tmp_path / "train_package.zip") as package:
        assert package.namelist() == ["README.txt", "dataset.toml", "manifest.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_closed_disk_is_named(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user learns which folder cannot be written and what to do; the old file stays."""
    atomic_write(tmp_path / "x", b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputUnwritable, match=re.escape(str(tmp_path))) as caught:
        atomic_write(tmp_path / "x", b"new")
    assert caught.value.remedy
    assert tree(tmp_path) == {"x": b"old"}


def test_a_failed_block_leaves_no_file(tmp_path: Path) -> None:
    """A file appears whole or not at all."""

    def half_written() -> None:
        with atomic_file(tmp_path / "x") as stream:
            stream.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        half_written()
    assert not list(tmp_path.iterdir())


def facts(
    shot: Shot = Shot.BUST, yaw: float | None = 0, smile: float | None = 0.2, light: float = 0.5
) -> PhotoFacts:
    return PhotoFacts(shot, yaw, smile, light)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ([], "No photo was kept"),
        ([facts()] * 11, "Only 11 pictures"),
        ([facts()], "Only 1 picture:"),
        ([facts()] * 12, "straight ahead"),
        ([facts(yaw=-40)] * 12, "turned to the left"),
        ([facts(yaw=-40), facts(yaw=40)] * 6, "add front views"),
        ([facts()] * 12, "No picture shows the body"),
        ([facts(Shot.BODY)] * 12, "from near"),
        ([facts(smile=0.9)] * 12, "smiles in every picture"),
        ([facts(smile=0.1)] * 12, "Not one smile"),
        ([facts(light=0.1)] * 12, "Every picture is dark"),
    ],
)
def test_advice_names_what_is_missing(kept: list[PhotoFacts], words: str) -> None:
    """A set with a gap is told of it."""
    assert any(words in sentence for sentence in advice(kept))


def test_advice_is_given_in_chinese_too() -> None:
    """A Chinese page has no English advice."""
    assert all(ord(line[-1]) > 0x3000 for line in advice([facts()], "zh") + doubts((10, 9), "zh"))


def test_two_people_in_as_many_photos_are_a_doubt_worth_saying() -> None:
    """Whom a couple's album is about is asked, not only guessed."""
    assert doubts((10, 9)) and not doubts((10, 3)) and not doubts((10,))


def test_a_varied_set_needs_no_advice() -> None:
    """Nobody is nagged about a good set."""
    good = [facts(Shot.FACE, 0, 0.9), facts(Shot.BUST, 30, 0.1), facts(Shot.BODY, -30, None)] * 5
    assert advice(good) == []


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def jpeg(size: tuple[int, int] = (30, 60)) -> bytes:
    stream = BytesIO()
    Image.new("RGB", size).save(stream, "JPEG")
    return stream.getvalue()


def test_report_reads_offline_and_file_names_stay_text(tmp_path: Path) -> None:
    """The page holds everything itself, reaches for nothing, and no file name becomes markup."""
    settings = load(database_url="postgresql://u:hunter2@h/d", modelscope_token="sk-secret",
                    base_url="https://u:hunter3@h")  # fmt: skip
    evil = '"><script>alert(1)</script>\udcff.jpg'
    decisions = [
        KEPT, DROPPED, replace(DROPPED, source=evil, detail=evil, sha256="gone"),
        replace(DROPPED, source="z.jpg", sha256="", reason="unreadable", detail="Cut short."),
    ]  # fmt: skip
    thumbnails = {"aa": jpeg(), "bb": jpeg()}
    write_report(
        tmp_path, "<i>Eve</i>", decisions, {"a.jpg": facts()}, thumbnails.get, settings, {"hidden": 2}
    )
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "a"}
    assert not re.search(r"https?://|url\(|@import", text)
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 3, "kept, once more as the keeper, and the one it replaces"
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all(attributes.get("loading") == "lazy" for tag, attributes in page.tags if tag == "img")
    boxes = [attributes["style"] for tag, attributes in page.tags if attributes.get("class") == "crop"]
    assert boxes == ["left:10.000%;top:25.000%;width:80.000%;height:40.000%"]
    for words in ("<i>Eve</i>", "<script>alert(1)", "Cut short.", "hidden files: 2", "Only 1 picture",
                  "ohwx woman, facing the camera.", "Shows the same moment as a.jpg."):  # fmt: skip
        assert words in page.text
    for secret in ("hunter2", "hunter3", "sk-secret", str(settings.data_dir)):
        assert secret not in text + (tmp_path / "report.json").read_text()


def test_report_json_counts_what_was_decided(tmp_path: Path, settings: Settings) -> None:
    """Machines read the same figures as people, and the same run gives the same bytes."""
    arguments = ("Eve", [DROPPED, KEPT], {"a.jpg": facts(yaw=-60)}, lambda sha256: None, settings, {"x": 0})
    write_report(tmp_path, *arguments)
    first = tree(tmp_path)
    write_report(tmp_path, *arguments)
    assert tree(tmp_path) == first
    summary = json.loads(first["report.json"])
    assert (summary["photos"], summary["kept"], summary["dropped"]) == (2, 1, 1)
    assert summary["reasons"] == {"kept": 1, "same_shot": 1}
    assert summary["coverage"]["view"]["profile_left"] == 1
    assert summary["settings"]["resolution"] == 1024
    assert summary["skipped"] == {}


def test_every_reason_is_shown_once(tmp_path: Path, settings: Settings) -> None:
    """Every input file has its place on the page, whatever became of it."""
    decisions = [
        replace(
            DROPPED, source=f"{reason.value}.jpg", sha256=reason.value, reason=reason.value, because_of=None
        )
        for reason in Reason
        if reason is not Reason.KEPT
    ]
    write_report(tmp_path, "Eve", decisions, {}, lambda sha256: None, settings, {})
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert all(text.count(decision.source) == 1 for decision in decisions)


def test_report_memory_does_not_grow_with_photos(tmp_path: Path, settings: Settings) -> None:
    """Thumbnails are asked for one by one while the page is written, never all held."""
    import tracemalloc

    picture = os.urandom(50_000)
    decisions = [replace(KEPT, source=f"{n:04d}.jpg", sha256=str(n)) for n in range(600)]
    tracemalloc.start()
    write_report(tmp_path, "Eve", decisions, {}, lambda sha256: picture, settings, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "report.html").stat().st_size > 600 * 60_000
    assert peak < 15e6
    shutil.rmtree(tmp_path)
