"""Measurements of many photos in columns: what deciding reads, in a tenth of the memory of records.

`Looks` is a mapping like a `dict[str, Look]`, and takes its place: it is filled as looks come, and
gives each back as it was. A record costs 4 KB and more, its pictures included; here the pictures may
lie in a file, and a photo with one face costs about 1.2 KB.
"""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lora_builder.records import (
    COLOUR_SIDE,
    GREY_SIDE,
    Body,
    Box,
    Exposure,
    Face,
    Floats,
    HeadPose,
    Look,
    Measurement,
    Rejected,
)

PHOTO = np.dtype(
    [
        ("width", "i4"),
        ("height", "i4"),
        ("format", "i2"),
        ("captured_at", "f8"),
        ("phash", "u8"),
        ("sharpness", "f8"),
        ("exposure", "f8", 4),
        ("content", "f8", 4),
        ("colours", "u1", (COLOUR_SIDE, COLOUR_SIDE, 3)),
        ("jpeg_quality", "i2"),
        ("saved_again", "f8"),
        ("first_face", "i8"),
        ("faces", "i4"),
        ("first_body", "i8"),
        ("bodies", "i4"),
    ]
)
"""One photo. NaN: unknown (`captured_at`, `content`); -1: unknown (`jpeg_quality`). `format`: index
among `Looks.formats`. Faces and bodies are so many rows of their columns from the first on."""

FACE = np.dtype(
    [
        ("box", "f8", 4),
        ("landmarks", "f4", (5, 2)),
        ("score", "f8"),
        ("pose", "f8", 3),
        ("sharpness", "f8"),
        ("brightness", "f8"),
        ("eyes_open", "f8"),
        ("smile", "f8"),
        ("motion", "f8"),
    ]
)
"""One face but for its embedding and picture. NaN: unknown (`eyes_open`, `smile`)."""

BODY = np.dtype([("landmarks", "f4", (33, 3)), ("extent", "f8", 4), ("face", "i4")])
"""One body; `face` -1: none."""

BATCH = 512
"""Records gathered before they become rows: filling columns one by one would take ten times as long."""


FEW = 20_000
"""Photos whose measurements are held as records: they take 250 MB, and nothing has to be made of rows."""


def held(count: int, folder: Path) -> MutableMapping[str, Look]:
    """What to hold the looks of so many photos in: records while they are few, else columns, with the
    pictures in files in `folder`."""
    if count <= FEW:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    return Looks(folder=folder)


class Column:
    """An array that grows at its end."""

    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> None:
        self._room: NDArray[Any] = np.empty((0, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """All rows; read them, do not keep them while the column grows."""
        return self._room[: self._count]

    def append(self, rows: NDArray[Any]) -> None:
        count = self._count + len(rows)
        if count > len(self._room):
            room = np.empty((max(count, len(self._room) * 3 // 2), *self._room.shape[1:]), self._room.dtype)
            room[: self._count] = self.rows
            self._room = room
        self._room[self._count : count] = rows
        self._count = count


class Pictures:
    """Small grey pictures, added in order: in memory, or in a file in `folder` that is gone with them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._count = 0
        self._kept: list[NDArray[np.uint8]] = []
        self._turn = threading.Lock()
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder, prefix="pictures-")  # noqa: SIM115

    def __len__(self) -> int:
        return self._count

    def extend(self, greys: Sequence[NDArray[np.uint8]]) -> None:
        self._count += len(greys)
        if self._file is None:
            self._kept.extend(greys)
        else:
            with self._turn:
                self._file.seek(0, 2)
                self._file.write(b"".join(grey.tobytes() for grey in greys))

    def take(self, rows: NDArray[np.intp] | range) -> NDArray[np.uint8]:
        """Copies of these pictures, (n, 64, 64). `rows`: any, or a range of neighbours."""
        if self._file is None:
            chosen = [self._kept[row] for row in rows]
            return np.array(chosen, np.uint8).reshape(len(chosen), GREY_SIDE, GREY_SIDE)
        if isinstance(rows, range):
            with self._turn:
                self._file.seek(rows.start * GREY_SIDE**2)
                data = self._file.read(len(rows) * GREY_SIDE**2)
            return np.frombuffer(data, np.uint8).reshape(len(rows), GREY_SIDE, GREY_SIDE)
        self._file.flush()
        # Mapped for this call alone: what a process has mapped counts as its memory.
        mapped = np.memmap(self._file, np.uint8, "r", shape=(self._count, GREY_SIDE, GREY_SIDE))
        return np.array(mapped[np.asarray(rows, np.intp)])


class Looks(MutableMapping[str, Look]):
    """Looks by SHA-256, in the order in which they came.

    `photos` (PHOTO), `faces` (FACE), `bodies` (BODY): the columns; `embeddings` (faces, d);
    `greys`, `face_greys`: the pictures by row of photo and of face; `formats`: names by number.
    A look set anew leaves its old rows unused. With a `folder` the pictures are kept in files there.
    """

    def __init__(self, looks: Mapping[str, Look] | None = None, folder: Path | None = None) -> None:
        self._row: dict[str, int] = {}
        self._rejected: dict[str, Rejected] = {}
        self._warnings: dict[int, tuple[str, ...]] = {}
        self._new: list[Measurement] = []
        self._embeddings: Column | None = None
        self._photos, self._faces, self._bodies = Column(PHOTO), Column(FACE), Column(BODY)
        self._greys, self._face_greys = Pictures(folder), Pictures(folder)
        self.formats: list[str] = []
        if looks:
            self.update(looks)

    @classmethod
    def of(cls, looks: Mapping[str, Look] | Iterable[tuple[str, Look]], folder: Path | None = None) -> Looks:
        """These looks in columns; the same object where they are already."""
        if isinstance(looks, Looks):
            return looks
        result = cls(folder=folder)
        result.update(looks)
        return result

    def __len__(self) -> int:
        return len(self._row) + len(self._rejected)

    def __iter__(self) -> Iterator[str]:
        yield from self._row
        yield from self._rejected

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._row or sha256 in self._rejected

    def __setitem__(self, sha256: str, look: Look) -> None:
        self._row.pop(sha256, None)
        self._rejected.pop(sha256, None)
        if isinstance(look, Rejected):
            self._rejected[sha256] = look
            return
        self._row[sha256] = len(self._photos) + len(self._new)
        self._new.append(look)
        if len(self._new) >= BATCH:
            self._settle()

    def __delitem__(self, sha256: str) -> None:
        if self._row.pop(sha256, None) is None:
            del self._rejected[sha256]

    def __getitem__(self, sha256: str) -> Look:
        row = self._row.get(sha256)
        return self._rejected[sha256] if row is None else self.measurement(row, sha256)

    def rejected(self, sha256: str) -> Rejected | None:
        """Why no measurement can be had, None where there is one."""
        return self._rejected.get(sha256)

    def rows(self, sha256s: Iterable[str]) -> NDArray[np.intp]:
        """The rows of these measured photos."""
        return np.array([self._row[sha256] for sha256 in sha256s], dtype=np.intp)

    @property
    def photos(self) -> NDArray[np.void]:
        self._settle()
        return self._photos.rows

    @property
    def faces(self) -> NDArray[np.void]:
        self._settle()
        return self._faces.rows

    @property
    def bodies(self) -> NDArray[np.void]:
        self._settle()
        return self._bodies.rows

    @property
    def embeddings(self) -> Floats:
        self._settle()
        return np.empty((0, 0), np.float32) if self._embeddings is None else self._embeddings.rows

    @property
    def greys(self) -> Pictures:
        self._settle()
        return self._greys

    @property
    def face_greys(self) -> Pictures:
        self._settle()
        return self._face_greys

    def measurement(self, row: int, sha256: str) -> Measurement:
        """The record of one row."""
        if row >= len(self._photos):
            return self._new[row - len(self._photos)]
        p = _values(self._photos, row)
        faces = range(p["first_face"], p["first_face"] + p["faces"])
        greys = self._face_greys.take(faces)
        bodies = range(p["first_body"], p["first_body"] + p["bodies"])
        content = Box(*p["content"].tolist())
        return Measurement(
            sha256,
            p["width"],
            p["height"],
            self.formats[p["format"]],
            _known(p["captured_at"]),
            p["phash"],
            self._greys.take(range(row, row + 1))[0],
            p["sharpness"],
            Exposure(*p["exposure"].tolist()),
            tuple(self._face(face, grey) for face, grey in zip(faces, greys, strict=True)),
            tuple(self._body(body) for body in bodies),
            self._warnings.get(row, ()),
            None if math.isnan(content.x) else content,
            p["colours"].copy(),
            None if p["jpeg_quality"] < 0 else p["jpeg_quality"],
            p["saved_again"],
        )

    def _face(self, row: int, grey: NDArray[np.uint8]) -> Face:
        assert self._embeddings is not None
        f = _values(self._faces, row)
        return Face(
            Box(*f["box"].tolist()),
            f["landmarks"].copy(),
            f["score"],
            self._embeddings.rows[row].copy(),
            HeadPose(*f["pose"].tolist()),
            grey,
            f["sharpness"],
            f["brightness"],
            _known(f["eyes_open"]),
            _known(f["smile"]),
            f["motion"],
        )

    def _body(self, row: int) -> Body:
        b = _values(self._bodies, row)
        return Body(b["landmarks"].copy(), Box(*b["extent"].tolist()), None if b["face"] < 0 else b["face"])

    def _settle(self) -> None:
        """Makes rows of the records that came last."""
        new = self._new
        if not new:
            return
        faces, bodies = [f for m in new for f in m.faces], [b for m in new for b in m.bodies]
        for number, m in enumerate(new, len(self._photos)):
            if m.warnings:
                self._warnings[number] = m.warnings
        rows = np.zeros(len(new), PHOTO)
        rows["width"], rows["height"] = [m.width for m in new], [m.height for m in new]
        rows["format"] = [self._format(m.format) for m in new]
        rows["captured_at"] = [np.nan if m.captured_at is None else m.captured_at for m in new]
        rows["phash"], rows["sharpness"] = [m.phash for m in new], [m.sharpness for m in new]
        rows["exposure"] = [tuple(vars(m.exposure).values()) for m in new]
        rows["content"] = [m.content or _UNKNOWN_BOX for m in new]
        rows["colours"] = [m.colours for m in new]
        rows["jpeg_quality"] = [-1 if m.jpeg_quality is None else m.jpeg_quality for m in new]
        rows["saved_again"] = [m.saved_again for m in new]
        rows["faces"], rows["bodies"] = [len(m.faces) for m in new], [len(m.bodies) for m in new]
        rows["first_face"] = len(self._faces) + np.cumsum(rows["faces"]) - rows["faces"]
        rows["first_body"] = len(self._bodies) + np.cumsum(rows["bodies"]) - rows["bodies"]
        self._greys.extend([m.grey for m in new])
        self._add_faces(faces)
        self._add_bodies(bodies)
        self._photos.append(rows)
        self._new = []

    def _add_faces(self, faces: list[Face]) -> None:
        if not faces:
            return
        rows = np.zeros(len(faces), FACE)
        rows["box"], rows["landmarks"] = [f.box for f in faces], [f.landmarks for f in faces]
        rows["score"] = [f.score for f in faces]
        rows["pose"] = [(f.pose.yaw, f.pose.pitch, f.pose.roll) for f in faces]
        rows["sharpness"], rows["brightness"] = [f.sharpness for f in faces], [f.brightness for f in faces]
        rows["eyes_open"] = [np.nan if f.eyes_open is None else f.eyes_open for f in faces]
        rows["smile"] = [np.nan if f.smile is None else f.smile for f in faces]
        rows["motion"] = [f.motion for f in faces]
        if self._embeddings is None:
            self._embeddings = Column(np.float32, (len(faces[0].embedding),))
        self._embeddings.append(np.array([f.embedding for f in faces], np.float32))
        self._face_greys.extend([f.grey for f in faces])
        self._faces.append(rows)

    def _add_bodies(self, bodies: list[Body]) -> None:
        if bodies:
            rows = np.zeros(len(bodies), BODY)
            rows["landmarks"], rows["extent"] = [b.landmarks for b in bodies], [b.extent for b in bodies]
            rows["face"] = [-1 if b.face is None else b.face for b in bodies]
            self._bodies.append(rows)

    def _format(self, name: str) -> int:
        if name not in self.formats:
            self.formats.append(name)
        return self.formats.index(name)


_UNKNOWN_BOX = (np.nan,) * 4


def _values(column: Column, row: int) -> dict[str, Any]:
    """A row's values by name, as Python's own: at once, for each by itself would take three times as long."""
    return dict(zip(column.rows.dtype.names or (), column.rows[row].item(), strict=True))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
