"""Writes the chosen layouts of one project into `exports/`, as folders, as ZIPs, or both."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lora_builder.errors import BadSettings
from lora_builder.export.classes import class_images
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS, Entry, Layout, Material, chosen
from lora_builder.export.layouts.interface import ClassImage, masks
from lora_builder.export.manifest import Written, package_manifest
from lora_builder.export.package import build_dataset, write_project_manifest
from lora_builder.export.package import write_zip as write_zip_package
from lora_builder.export.packages import same_pictures, untouched_zip
from lora_builder.export.plan import ExportPlan, plan
from lora_builder.export.writer import remove_folder, write_folder, write_zip
from lora_builder.files import writing_to
from lora_builder.records import Decision
from lora_builder.settings import Settings
from lora_builder.sums import Sums

EXPORTS = "exports"

MASKS = "masks"
"""Folder in a project's folder for training masks, by the names of dataset/."""

CLASS_CACHE = ".cache/classes"
"""Folder in a project's folder for class pictures, ready to copy."""

VERIFY = """\
manifest.json says what every file is and where it came from;

lora-dataset-builder verify .

checks that nothing is missing or changed."""


def write_exports(
    folder: Path, images: Sequence[TrainingImage], decisions: Sequence[Decision], settings: Settings
) -> None:
    """All that a run leaves of its training images: dataset/, the ZIP, the chosen layouts, the manifest.

    Raises BadSettings, BadInput, OutputUnwritable.
    """
    sums = Sums(folder)
    layouts = bool(settings.layouts and images)
    classes = class_pictures(folder, settings) if layouts else []
    if layouts:
        refuse(plan(images, settings, classes))
    files = build_dataset(folder, images, settings, sums)
    files += _write_masks(folder, images, decisions, settings, sums)
    write_zip_package(folder, images, settings, decisions, sums)
    if layouts:
        write_layouts(folder, images, decisions, settings, classes, sums)
    clear_outdated(folder / EXPORTS, images, settings)
    write_project_manifest(folder, images, files, decisions, settings)
    sums.save()


def clear_outdated(exports: Path, images: Sequence[TrainingImage], settings: Settings) -> None:
    """Takes away exports of layouts no longer chosen that hold other pictures or captions than these.

    Nobody should train on them by mistake. Those that still hold these very ones stay, for they were
    asked for once, and so does every file that we did not write, or not so. Raises OutputUnwritable.
    """
    for name in LAYOUTS.keys() - set(settings.layouts):
        target, package = exports / name, exports / f"{name}.zip"
        if same_pictures(target, images) is False:
            remove_folder(target)
        if same_pictures(package, images) is False and untouched_zip(package):
            with writing_to(exports):
                package.unlink()


def _write_masks(
    folder: Path,
    images: Sequence[TrainingImage],
    decisions: Sequence[Decision],
    settings: Settings,
    sums: Sums,
) -> list[Written]:
    """masks/ beside dataset/, where there are masks; one of an earlier run goes."""
    material = Material(images, settings)
    if not material.masked:
        remove_folder(folder / MASKS)
        return []
    finish = functools.partial(_manifest, MASKS, material, decisions)
    entries = (Entry(Path(entry.path).name, entry.content) for entry in masks(material, MASKS))
    written = write_folder(folder / MASKS, entries, sums, finish)
    return [replace(file, path=f"{MASKS}/{file.path}") for file in written]


def class_pictures(folder: Path, settings: Settings) -> list[ClassImage]:
    """The class pictures of `settings.regularisation`, made ready in the project's folder."""
    return class_images(folder / CLASS_CACHE, settings)


def write_layouts(
    folder: Path,
    images: Sequence[TrainingImage],
    decisions: Sequence[Decision],
    settings: Settings,
    classes: Sequence[ClassImage] = (),
    sums: Sums | None = None,
) -> list[Path]:
    """Writes every layout of `settings.layouts` and returns what was made, in that order.

    Raises BadSettings where the plan is blocked, before anything is written; OutputUnwritable.
    """
    if not settings.layouts:
        return []
    refuse(plan(images, settings, classes))
    material = Material(images, settings, classes)
    sums = sums or Sums(folder)
    made = []
    for layout in chosen(settings.layouts):
        finish = functools.partial(_manifest, layout.name, material, decisions)
        if settings.export_as in ("folder", "both"):
            target = folder / EXPORTS / layout.name
            write_folder(target, package(layout, material), sums, finish)
            made.append(target)
        if settings.export_as in ("zip", "both"):
            target = folder / EXPORTS / f"{layout.name}.zip"
            write_zip(target, package(layout, material), sums, finish)
            made.append(target)
    return made


def refuse(planned: ExportPlan) -> None:
    """Raises BadSettings for the first problem that blocks."""
    for problem in (*planned.problems, *(p for layout in planned.layouts for p in layout.problems)):
        if problem.blocks:
            names = f" ({', '.join(problem.images[:5])})" if problem.images else ""
            raise BadSettings(f"{problem.message}{names}", problem.remedy)


def package(layout: Layout, material: Material) -> Iterator[Entry]:
    """Every file of a package but its manifest."""
    yield Entry("README.txt", readme(layout, material).encode())
    yield from layout.entries(material)


def readme(layout: Layout, material: Material) -> str:
    """What the package holds, for whom, and the one command that trains on it."""
    settings = material.settings
    lines = [
        f"{len(material.images)} training pictures with captions, for a LoRA on {material.base.title}"
        f" with {layout.title}."
        if layout.rule
        else f"{len(material.images)} training pictures with captions.",
    ]
    if settings.trigger:
        lines.append(f"Trigger word: {settings.trigger}")
    lines += ["", f"{material.derived}."]
    if material.masked and layout.masks:
        lines.append("Masks: white is trained, black is not.")
    if material.classes and layout.classes:
        lines.append(f"{len(material.classes)} class pictures for regularisation.")
    command = layout.command(material)
    if command:
        lines += [
            "",
            "Go into this folder and run, with your own paths for the words in capitals:",
            "",
            command,
        ]
    lines += ["", VERIFY, ""]
    return "\n".join(lines)


def _manifest(layout: str, material: Material, decisions: Sequence[Decision], files: list[Written]) -> bytes:
    return package_manifest(layout, material.images, files, decisions, material.settings)
