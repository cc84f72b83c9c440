"""What an export will write, and what is wrong with it, before anything is written. Pure.

    plan(images, settings) -> ExportPlan

`images` are `TrainingImage`s: of a run in hand, or of `read_project` on a project's folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_builder.base_models import BASE_MODELS
from lora_builder.export.buckets import FaceFate, Fate, face_fate, fates
from lora_builder.export.images import NAME, TrainingImage, one_line
from lora_builder.export.layouts import Entry, Layout, Material, Shard, chosen
from lora_builder.export.layouts.interface import ClassImage
from lora_builder.settings import Settings

TOLERATED_CUT = 0.02
"""Share of a face box that a trainer's crop may take: detectors' boxes are no more exact."""

TOLERATED_SCALE = 1.05
"""Enlargement by a trainer that nobody sees."""

MUCH_LOST = 0.15
"""Share of a picture cut off by a trainer from which it is worth saying."""

ZIP_MEMBER_BYTES = 130
"""What a ZIP adds for each file, about: two headers and twice its name."""


@dataclass(frozen=True)
class Problem:
    """Something wrong. `code` for programs; `message` for people; `images`: names of those concerned.

    `blocks`: the export will refuse.
    """

    code: str
    message: str
    remedy: str
    images: tuple[str, ...] = ()
    blocks: bool = False


@dataclass(frozen=True)
class Preview:
    """What one trainer does to one picture, at each resolution; the face where there is one."""

    image: str
    size: tuple[int, int]
    fates: tuple[Fate, ...]
    faces: tuple[FaceFate, ...]


@dataclass(frozen=True)
class LayoutPlan:
    """One layout: what is written, what the trainer will make of it, how it is started.

    `files`, `bytes`: of the folder; a ZIP is `bytes` and a little more. `buckets`: pictures by
    (width, height) at the largest resolution. `command` empty: no trainer, or none for this base.
    """

    name: str
    title: str
    files: int
    bytes: int
    repeats: int
    steps: int
    resolutions: tuple[int, ...]
    buckets: tuple[tuple[tuple[int, int], int], ...]
    command: str
    previews: tuple[Preview, ...]
    problems: tuple[Problem, ...]

    @property
    def blocked(self) -> bool:
        return any(problem.blocks for problem in self.problems)


@dataclass(frozen=True)
class ExportPlan:
    """All layouts, and the problems that concern every one."""

    images: int
    layouts: tuple[LayoutPlan, ...]
    problems: tuple[Problem, ...]

    @property
    def blocked(self) -> bool:
        return any(p.blocks for p in self.problems) or any(layout.blocked for layout in self.layouts)


def plan(
    images: Sequence[TrainingImage], settings: Settings, classes: Sequence[ClassImage] = ()
) -> ExportPlan:
    """What `settings.layouts` would write of these images. Raises BadSettings for an unknown layout.

    Sizes of files are read from the disk where the files are there; nothing else is opened.
    """
    material = Material(images, settings, classes)
    layouts = tuple(_layout(layout, material) for layout in chosen(settings.layouts))
    return ExportPlan(len(images), layouts, tuple(_common(images)))


def preview(layout: Layout, image: TrainingImage, base_model: str) -> Preview | None:
    """What the layout's trainer does to the picture; None where there is no trainer or no size."""
    if not layout.rule or image.crop is None or base_model not in BASE_MODELS:
        return None
    size = (image.crop.width, image.crop.height)
    found = tuple(fates(layout.rule, base_model, size))
    faces = tuple(face_fate(fate, image.face, size) for fate in found) if image.face else ()
    return Preview(image.name, size, found, faces)


def _common(images: Sequence[TrainingImage]) -> list[Problem]:
    found = []
    if not images:
        found.append(Problem("empty", "There are no pictures.", "Keep at least one photo.", (), True))
    silent = tuple(image.name for image in images if not one_line(image.caption))
    if silent:
        found.append(
            Problem(
                "no_caption", "Some captions are empty; trainers stop at that.", "Write them.", silent, True
            )
        )
    odd = tuple(image.name for image in images if not NAME.fullmatch(image.name))
    if odd:
        found.append(Problem("bad_name", "Some names are not a number.", "Run the export again.", odd, True))
    without = tuple(image.name for image in images if image.mask is None)
    if without and len(without) < len(images):
        found.append(
            Problem("no_mask", "Some pictures have no mask.", "Run again with masks.", without, True)
        )
    return found


def _layout(layout: Layout, material: Material) -> LayoutPlan:
    base = material.settings.base_model
    previews = tuple(seen for image in material.images if (seen := preview(layout, image, base)) is not None)
    supported = not layout.bases or base in layout.bases
    entries = list(layout.entries(material)) if supported and material.images else []
    return LayoutPlan(
        name=layout.name,
        title=layout.title,
        files=len(entries) + 2 if entries else 0,
        bytes=sum(map(entry_bytes, entries)),
        repeats=material.repeats,
        steps=material.steps,
        resolutions=tuple(dict.fromkeys(fate.resolution for seen in previews[:1] for fate in seen.fates)),
        buckets=tuple(sorted(Counter(seen.fates[-1].bucket for seen in previews).items())),
        command=layout.command(material) if supported else "",
        previews=previews,
        problems=tuple(_problems(layout, material, previews)),
    )


def _problems(layout: Layout, material: Material, previews: Sequence[Preview]) -> list[Problem]:
    title, base = layout.title, BASE_MODELS[material.settings.base_model].title
    found = []
    if layout.bases and material.settings.base_model not in layout.bases:
        others = ", ".join(layout.bases)
        found.append(
            Problem("base_model", f"{title} does not train {base}.", f"It trains {others}.", (), True)
        )
    if material.masked and not layout.masks:
        found.append(Problem("masks", f"{title} reads no masks: they are left out.", "Nothing to do."))
    if material.classes and not layout.classes:
        found.append(
            Problem("classes", f"{title} takes no class pictures: they are left out.", "Nothing to do.")
        )
    cut = _names(previews, lambda seen: any(face.cut > TOLERATED_CUT for face in seen.faces))
    if cut:
        found.append(
            Problem(
                "face_cut", f"{title} will cut into these faces.", "Use buckets=auto or other crops.", cut
            )
        )
    small = _names(previews, lambda seen: bool(seen.faces) and seen.faces[-1].small)
    if small:
        found.append(
            Problem(
                "face_small",
                f"In {title} these faces are too small to learn from.",
                "Add tighter crops: extra_crops=face.",
                small,
            )
        )
    blown = _names(previews, lambda seen: seen.fates[-1].enlarged(seen.size) > TOLERATED_SCALE)
    if blown:
        found.append(
            Problem("enlarged", f"{title} will blow these up.", "Leave them out, or train smaller.", blown)
        )
    lost = _names(previews, lambda seen: seen.fates[-1].lost() > MUCH_LOST)
    if lost:
        found.append(Problem("cropped", f"{title} will cut off much of these.", "Use buckets=auto.", lost))
    return found


def entry_bytes(entry: Entry) -> int:
    """Size of what an entry will write, bytes; files that are not there yet count nothing."""
    if isinstance(entry.content, bytes):
        return len(entry.content)
    if isinstance(entry.content, Path):
        return entry.content.stat().st_size if entry.content.exists() else 0
    sizes = (entry_bytes(Entry(name, content)) for name, content in entry.content.members)
    return sum(512 + size + -size % 512 for size in sizes) + 1024 if isinstance(entry.content, Shard) else 0


def _names(previews: Sequence[Preview], wrong: Callable[[Preview], bool]) -> tuple[str, ...]:
    return tuple(seen.image for seen in previews if wrong(seen))
