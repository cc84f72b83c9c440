"""Photos with ground truth, measured once: what `accuracy.py` draws its scenarios from.

The folder is in the form of ../shared/photos: `people/labels.tsv` says who is in which photo,
`neardup/groundtruth.json` which photos are one picture.
"""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from lora_builder import measure
from lora_builder.ingest import identify, list_sources
from lora_builder.models import warm_up
from lora_builder.records import Box, Look, Measurement, Photo, Source
from lora_builder.settings import Settings
from lora_builder.store import Store

SAME_FACE = 0.3
"""Intersection over union of a found and a labelled box from which they are one face."""


@dataclass(frozen=True)
class Label:
    """Who is in a photo: `box` is the target's face, `sure` whether somebody checked it."""

    identity: str
    box: Box | None
    sure: bool
    also: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """Everybody named."""
        return self.also | ({self.identity} if not self.identity.startswith("_") else set())


@dataclass(frozen=True)
class Group:
    """Photos of one picture (`collapse`), of different ones (`keep`), or of either (`optional`)."""

    id: str
    paths: tuple[str, ...]
    relation: str
    expect: str


@dataclass(frozen=True)
class Truth:
    """All photos by their path below the root, what was measured, and what is so."""

    root: Path
    photos: dict[str, Photo]
    looks: dict[str, Look]
    labels: dict[str, Label]
    groups: tuple[Group, ...]

    def look(self, path: str) -> Look:
        return self.looks[self.photos[path].sha256]

    def of(self, name: str) -> list[str]:
        """The photos that surely show that person, one of each picture."""
        copies = {
            self.photos[path].sha256
            for group in self.groups
            if group.expect == "collapse"
            for path in group.paths[1:]
            if path in self.photos
        }
        return [
            path
            for path, label in sorted(self.labels.items())
            if label.identity == name and label.sure and self.photos[path].sha256 not in copies
        ]

    @property
    def names(self) -> list[str]:
        return sorted({name for label in self.labels.values() for name in label.names})

    def target(self, path: str) -> int | None:
        """Index of the labelled face among those found."""
        box, look = self.labels[path].box, self.look(path)
        if box is None or not isinstance(look, Measurement):
            return None
        shares = [overlap(face.box, box) for face in look.faces]
        best = int(np.argmax(shares)) if shares else -1
        return best if best >= 0 and shares[best] >= SAME_FACE else None


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0..1."""
    common = one.intersection(other).area
    return common / max(one.area + other.area - common, 1e-9)


def load_truth(root: Path, settings: Settings) -> Truth:
    """Reads the labels and measures what is not yet in the data folder's database."""
    photos: dict[str, Photo] = {}
    for folder in ("people", "neardup"):
        for source in list_sources(root / folder, settings).sources:
            photo = identify(source, settings)
            if isinstance(photo, Photo):
                name = f"{folder}/{source.name}"
                photos[name] = replace(photo, source=Source(name, source.path))
    with (root / "people" / "labels.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    labels = {
        row["path"]: Label(
            row["identity"],
            Box.from_corners(*map(float, row["target_face_ltrb_upright"].split(",")))
            if row["target_face_ltrb_upright"]
            else None,
            row["target_verified"] == "yes",
            frozenset(filter(None, row["also_shows"].split(","))),
        )
        for row in rows
        if row["path"] in photos
    }
    groups = tuple(
        Group(entry["id"], tuple(entry["files"]), entry["relation"], entry["expect"])
        for entry in json.loads((root / "neardup" / "groundtruth.json").read_text())["groups"]
    )
    return Truth(root, photos, measured(list(photos.values()), settings), labels, groups)


def measured(photos: Sequence[Photo], settings: Settings) -> dict[str, Look]:
    """Looks by SHA-256; new ones are remembered in the database."""
    recipe = measure.recipe(settings)
    with Store(settings.database) as store:
        looks = store.looks({photo.sha256 for photo in photos}, recipe)
        missing = {photo.sha256: photo for photo in photos if photo.sha256 not in looks}
        if missing:
            warm_up(settings)
        for sha256, photo in missing.items():
            looks[sha256] = measure.measure(photo, settings)
            store.save_looks(recipe, {sha256: looks[sha256]})
    return looks


def wilson(hits: float, count: int) -> str:
    """A share with its 95% interval (Wilson 1927), as percent."""
    if not count:
        return "-"
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return f"{share:.2%} ({max(middle - half, 0):.1%}-{min(middle + half, 1):.1%})"


def bootstrap(values: Sequence[float], seed: int = 1, rounds: int = 2000) -> str:
    """A mean with its 95% interval over resampled items, as percent."""
    if not values:
        return "-"
    rng = np.random.default_rng(seed)
    means = rng.choice(np.array(values), (rounds, len(values))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{np.mean(values):.2%} ({low:.1%}-{high:.1%})"


def _jpeg(quality: int) -> Callable[[Image.Image], bytes]:
    return lambda image: _saved(image, "JPEG", quality=quality)


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def _smaller(image: Image.Image, share: float) -> Image.Image:
    return image.resize(
        (max(round(image.width * share), 64), max(round(image.height * share), 64)), Image.Resampling.LANCZOS
    )


def _cropped(image: Image.Image, share: float) -> Image.Image:
    """`share` of each side cut away, unevenly."""
    w, h = image.size
    box = (
        round(w * share * 0.4),
        round(h * share * 0.7),
        round(w * (1 - share * 0.6)),
        round(h * (1 - share * 0.3)),
    )
    return image.crop(box)


def _boxed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, (round(image.width * 0.3), 0), (0, 0, 0))


def _toned(image: Image.Image) -> Image.Image:
    return ImageEnhance.Color(ImageEnhance.Brightness(image.convert("RGB")).enhance(1.25)).enhance(0.6)


VARIANTS: dict[str, tuple[str, Callable[[Image.Image], bytes]]] = {
    "jpeg60": ("re-encode", _jpeg(60)),
    "webp": ("re-encode", lambda image: _saved(image, "WEBP", quality=80)),
    "half": ("resize", lambda image: _jpeg(85)(_smaller(image, 0.5))),
    "third": ("resize", lambda image: _jpeg(80)(_smaller(image, 1 / 3))),
    "crop10": ("crop", lambda image: _jpeg(90)(_cropped(image, 0.1))),
    "crop25": ("crop", lambda image: _jpeg(90)(_cropped(image, 0.25))),
    "bars": ("crop", lambda image: _jpeg(90)(_boxed(image))),
    "toned": ("tone", lambda image: _jpeg(90)(_toned(image))),
    "grey": ("tone", lambda image: _jpeg(90)(image.convert("L"))),
    "mirror": ("mirror", lambda image: _jpeg(90)(ImageOps.mirror(image))),
    "turned": ("rotate", lambda image: _jpeg(90)(image.transpose(Image.Transpose.ROTATE_90))),
}
"""What people do to a photo before they upload it twice, by name: the kind, and the doing."""


def variants(
    truth: Truth, paths: Sequence[str], folder: Path, settings: Settings
) -> dict[str, dict[str, Photo]]:
    """For each path its re-made copies by the variant's name, written below `folder`, measured."""
    made: dict[str, dict[str, Photo]] = {}
    for number, path in enumerate(paths):
        with Image.open(truth.root / path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        made[path] = {}
        for name, (_, change) in VARIANTS.items():
            target = folder / f"{number:03d}-{name}.jpg"
            target.write_bytes(change(upright))
            photo = identify(Source(target.name, target), settings)
            assert isinstance(photo, Photo)
            made[path][name] = photo
    truth.looks.update(measured([p for copies in made.values() for p in copies.values()], settings))
    return made


def strangers(truth: Truth, name: str, rng: random.Random, count: int, alike: bool = False) -> list[str]:
    """Photos without that person, each of somebody else; `alike`: those who look most like them."""
    pool: dict[str, list[str]] = {}
    for path, label in truth.labels.items():
        if name in label.names or (not label.names and label.identity == name):
            continue
        if label.identity.startswith("_") or label.sure:
            pool.setdefault(path if label.identity.startswith("_") else label.identity, []).append(path)
    chosen = [rng.choice(paths) for _, paths in sorted(pool.items())]
    if not alike:
        return rng.sample(chosen, min(count, len(chosen)))
    mean = np.sum([_target_embedding(truth, path) for path in truth.of(name)], axis=0)

    def nearness(path: str) -> float:
        look = truth.look(path)
        faces = look.faces if isinstance(look, Measurement) else ()
        return max((float(face.embedding @ mean) for face in faces), default=-9.0)

    everyone = [path for paths in pool.values() for path in paths]
    return sorted(everyone, key=nearness, reverse=True)[:count]


def _target_embedding(truth: Truth, path: str) -> np.ndarray:
    look, index = truth.look(path), truth.target(path)
    assert isinstance(look, Measurement)
    assert index is not None
    return look.faces[index].embedding
