"""Reads what an export left: a folder or a ZIP with a manifest; checks it, and compares two."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from lora_builder.errors import BadArchive, BadInput
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts.onetrainer import MASK_SUFFIX
from lora_builder.export.manifest import FORMAT, NAME, image_record, read_image
from lora_builder.export.writer import ZIP_MOMENT

PICTURES = (".png", ".jpg")

CHUNK = 1 << 20

MOST_MANIFEST = 256 << 20
"""Bytes; a manifest of 100,000 pictures is a fifth of this."""

BLACK = 8
"""Grey level up to which a mask hides a pixel; one that hides all of them stops trainers."""

_METADATA = (
    "exif",
    "icc_profile",
    "xmp",
    "XML:com.adobe.xmp",
    "comment",
    "photoshop",
    "Raw profile type exif",
)
"""Where Pillow puts what a file says beside its pixels."""

_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a package: `code` for programs, the file, and a sentence."""

    code: str
    path: str
    message: str


@dataclass(frozen=True)
class Checked:
    """What `verify` found: how many files and pictures were read, and every fault."""

    layout: str
    files: int
    images: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Difference:
    """What changed from one package to another. Pictures are the same where photo and crop's name are."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    recropped: tuple[str, ...] = ()
    reedited: tuple[str, ...] = ()
    recaptioned: tuple[tuple[str, str, str], ...] = ()
    settings: tuple[tuple[str, Any, Any], ...] = ()
    photos: tuple[tuple[str, str, str], ...] = ()
    files: tuple[str, ...] = field(default=())
    """Files in both whose bytes differ, by path."""

    @property
    def same(self) -> bool:
        return self == Difference()


class _Package:
    """A folder or a ZIP as a mapping of paths to bytes. Raises BadInput, BadArchive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        if path.is_dir():
            return
        if not path.is_file():
            raise BadInput(f"There is no package {path}.", "Give a folder or ZIP that this program wrote.")
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise BadArchive(f"{path} is not a ZIP that can be read.", "Copy or export it again.") from error

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()

    def names(self) -> list[str]:
        if self._archive is not None:
            return [info.filename for info in self._archive.infolist() if not info.is_dir()]
        found = (p for p in self.path.rglob("*") if p.is_file() or p.is_symlink())
        return [path.relative_to(self.path).as_posix() for path in found]

    def members(self) -> list[zipfile.ZipInfo]:
        """What a ZIP's directory says; nothing of a folder."""
        return self._archive.infolist() if self._archive is not None else []

    def chunks(self, name: str) -> Iterator[bytes]:
        if self._archive is not None:
            with self._archive.open(name) as stream:
                while piece := stream.read(CHUNK):
                    yield piece
            return
        path = self.path / name
        if path.is_symlink():
            raise OSError(f"{name} is a link")
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    def manifest(self) -> dict[str, Any]:
        try:
            data = bytearray()
            for piece in self.chunks(NAME):
                data += piece
                if len(data) > MOST_MANIFEST:
                    raise ValueError("too large")
            found = json.loads(data)
            if found["format"] != FORMAT or not all(isinstance(found[k], list) for k in ("files", "images")):
                raise ValueError("another format")
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise BadInput(
                f"{self.path} has no {NAME} that can be read.",
                "Give a folder or ZIP that this program wrote.",
            ) from error
        return dict(found)


def read_project(folder: Path) -> list[TrainingImage]:
    """The training images that the last run left in a project's folder, for `plan` and `write_layouts`.

    Raises BadInput where there was no run.
    """
    images = []
    manifest = _Package(folder).manifest()
    pictures = [Path(file["path"]) for file in manifest["files"] if file["path"].endswith(PICTURES)]
    suffixes = {path.stem: path for path in pictures if not is_mask(path.as_posix())}
    for record in manifest["images"]:
        name, crop, face = read_image(record)
        images.append(
            TrainingImage(
                name, folder / suffixes[name], record["caption"], record["caption_by"], record["photo"],
                crop, record["edits"], face, folder / "masks" / f"{name}.png" if record["masked"] else None,
            )
        )  # fmt: skip
    return images


def same_pictures(path: Path, images: Sequence[TrainingImage]) -> bool | None:
    """Whether a package holds these very pictures and captions; None where it is no package of ours."""
    try:
        return bool(_manifest_of(path)["images"] == [image_record(image) for image in images])
    except (BadInput, BadArchive):
        return None


def untouched_zip(path: Path) -> bool:
    """Whether a ZIP is to the last member as we wrote it: names, sizes, the moment that ours all have."""
    package = _Package(path)
    try:
        listed = {str(file["path"]): int(file["bytes"]) for file in package.manifest()["files"]}
        members = package.members()
    finally:
        package.close()
    found = {info.filename: info.file_size for info in members if info.filename != NAME}
    return found == listed and all(info.date_time == ZIP_MOMENT for info in members)


def project_settings(folder: Path) -> dict[str, Any]:
    """The settings that the project's last run was made with, as JSON values. Raises BadInput."""
    return dict(_Package(folder).manifest()["settings"])


def verify(path: Path, seen: Callable[[int, int], None] = lambda done, total: None) -> Checked:
    """Reads every byte of a package and says what a trainer or a reader would trip over.

    Nothing missing, changed or added; captions of one line; pictures that open and carry no metadata;
    masks of the right size that are not all black. `seen` is told of progress. Raises BadInput.
    """
    package = _Package(path)
    try:
        manifest = package.manifest()
        listed = {str(file["path"]): file for file in manifest["files"]}
        present = set(package.names())
        faults = _extras(manifest["layout"], listed, present)
        sizes: dict[str, tuple[int, int]] = {}
        for done, (name, file) in enumerate(sorted(listed.items()), 1):
            if name not in present:
                faults.append(Fault("missing", name, "The file is missing: export again."))
            else:
                faults += _file(package, name, file, sizes)
            seen(done, len(listed))
        faults += _masks(sizes)
    finally:
        package.close()
    return Checked(str(manifest["layout"]), len(listed), len(manifest["images"]), tuple(faults))


def _extras(layout: str, listed: Mapping[str, Any], present: set[str]) -> list[Fault]:
    """Files that we did not write, where a trainer would read them."""
    extra = {name for name in present - set(listed) - {NAME} if Path(name).name not in _LITTER}
    if layout == "project":
        extra = {name for name in extra if name.startswith("dataset/")}
    return [
        Fault("extra", name, "The file was added since: a trainer may read it.") for name in sorted(extra)
    ]


def _file(
    package: _Package, name: str, file: Mapping[str, Any], sizes: dict[str, tuple[int, int]]
) -> Iterator[Fault]:
    digest, size = hashlib.sha256(), 0
    kept = bytearray()
    keep = name.endswith((*PICTURES, ".txt"))
    try:
        for piece in package.chunks(name):
            digest.update(piece)
            size += len(piece)
            if keep:
                kept += piece
    except (OSError, zipfile.BadZipFile) as error:
        yield Fault("unreadable", name, f"The file cannot be read: {error}.")
        return
    if digest.hexdigest() != file["sha256"] or size != file["bytes"]:
        yield Fault("changed", name, "The file has changed since it was written.")
    if name.endswith(".txt") and "/" in name:
        yield from _caption(name, bytes(kept))
    if name.endswith(PICTURES):
        yield from _picture(name, bytes(kept), sizes)


def _caption(name: str, data: bytes) -> Iterator[Fault]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield Fault("caption", name, "The caption is not UTF-8.")
        return
    if not text.strip():
        yield Fault("caption", name, "The caption is empty; trainers stop at that.")
    elif len(text.splitlines()) > 1:
        yield Fault("caption", name, "The caption has several lines; some trainers read only the first.")


def _picture(name: str, data: bytes, sizes: dict[str, tuple[int, int]]) -> Iterator[Fault]:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            image.load()
            sizes[name] = image.size
            if image.getexif() or any(key in image.info for key in _METADATA):
                yield Fault("metadata", name, "The picture carries metadata.")
            mask = is_mask(name)
            if mask and image.mode != "L":
                yield Fault("mask", name, "The mask is not grey.")
            if mask and (image.convert("L").getextrema()[1] or 0) <= BLACK:  # type: ignore[operator]
                yield Fault("mask", name, "The mask is black everywhere: nothing would be trained.")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        yield Fault("picture", name, "The picture cannot be opened.")


def is_mask(name: str) -> bool:
    """Whether the file of a package is a mask."""
    path = Path(name)
    return path.parent.name == "masks" or path.stem.endswith(MASK_SUFFIX)


def _masks(sizes: Mapping[str, tuple[int, int]]) -> Iterator[Fault]:
    """Every picture has a mask of its size, and no mask is without its picture; or there are none."""
    masks = {Path(name).stem.removesuffix(MASK_SUFFIX): name for name in sizes if is_mask(name)}
    if not masks:
        return
    pictures = {
        Path(name).stem: name
        for name in sizes
        if not is_mask(name) and not name.startswith(("reg/", "regularisation/", "class/"))
    }
    for stem, name in sorted(pictures.items()):
        if stem not in masks:
            yield Fault("mask", name, "The picture has no mask; trainers stop at that.")
        elif sizes[masks[stem]] != sizes[name]:
            yield Fault("mask", masks[stem], "The mask is not of its picture's size.")
    for stem, name in sorted(masks.items()):
        if stem not in pictures:
            yield Fault("mask", name, "The mask belongs to no picture; trainers stop at that.")


def diff(one: Path, other: Path) -> Difference:
    """What changed from the package `one` to the package `other`. Raises BadInput."""
    before, after = _manifest_of(one), _manifest_of(other)
    old, new = _by_source(before), _by_source(after)
    both = sorted(old.keys() & new.keys())
    settings = {**dict.fromkeys(before["settings"]), **dict.fromkeys(after["settings"])}
    was, now = ({p["sha256"]: p["reason"] for p in m["photos"]} for m in (before, after))
    digests = [{f["path"]: f["sha256"] for f in m["files"]} for m in (before, after)]
    return Difference(
        added=tuple(new[key]["name"] for key in sorted(new.keys() - old.keys())),
        removed=tuple(old[key]["name"] for key in sorted(old.keys() - new.keys())),
        recropped=tuple(
            new[k]["name"]
            for k in both
            if (old[k]["crop"], old[k]["size"]) != (new[k]["crop"], new[k]["size"])
        ),
        reedited=tuple(new[k]["name"] for k in both if old[k]["edits"] != new[k]["edits"]),
        recaptioned=tuple(
            (new[k]["name"], old[k]["caption"], new[k]["caption"])
            for k in both
            if old[k]["caption"] != new[k]["caption"]
        ),
        settings=tuple(
            (name, before["settings"].get(name), after["settings"].get(name))
            for name in sorted(settings)
            if before["settings"].get(name) != after["settings"].get(name)
        ),
        photos=tuple(
            (sha256, was.get(sha256, "absent"), now.get(sha256, "absent"))
            for sha256 in sorted(was.keys() | now.keys())
            if was.get(sha256) != now.get(sha256)
        ),
        files=tuple(
            path
            for path in sorted(digests[0].keys() & digests[1].keys())
            if digests[0][path] != digests[1][path]
        ),
    )


def _manifest_of(path: Path) -> dict[str, Any]:
    package = _Package(path)
    try:
        return package.manifest()
    finally:
        package.close()


def _by_source(manifest: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The images by what they are of: the photo, and the crop's name."""
    return {
        (str(image["photo"]), str(image["name"]).partition("_")[2]): image for image in manifest["images"]
    }
