"""Measurements as text and bytes: figures as JSON, arrays raw one after the other."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_builder.records import (
    COLOUR_SIDE,
    GREY_SIDE,
    Body,
    Box,
    Exposure,
    Face,
    HeadPose,
    Look,
    Measurement,
    Rejected,
)

_GREY = (GREY_SIDE, GREY_SIDE)
_COLOURS = (COLOUR_SIDE, COLOUR_SIDE, 3)


def encode(look: Look) -> tuple[str, bytes]:
    """The figures and the arrays of a look."""
    if isinstance(look, Rejected):
        return json.dumps({"rejected": [look.message, look.remedy]}), b""
    arrays: list[NDArray[Any]] = [look.grey, look.colours]
    for face in look.faces:
        arrays += [face.landmarks, face.embedding, face.grey]
    arrays += [body.landmarks for body in look.bodies]
    facts = {
        "sha256": look.sha256,
        "size": [look.width, look.height],
        "format": look.format,
        "captured_at": look.captured_at,
        "phash": f"{look.phash:016x}",
        "sharpness": look.sharpness,
        "exposure": list(vars(look.exposure).values()),
        "warnings": look.warnings,
        "content": look.content,
        "jpeg_quality": look.jpeg_quality,
        "saved_again": look.saved_again,
        "embedding": len(look.faces[0].embedding) if look.faces else 0,
        "faces": [
            [
                *(*f.box, f.score, *vars(f.pose).values(), f.sharpness, f.brightness),
                *(f.eyes_open, f.smile, f.motion),
            ]
            for f in look.faces
        ],
        "bodies": [[*body.extent, body.face] for body in look.bodies],
    }
    return json.dumps(facts), b"".join(array.tobytes() for array in arrays)


def decode(text: str, data: bytes) -> Look:
    """The look that `encode` made `text` and `data` of."""
    facts = json.loads(text)
    if "rejected" in facts:
        return Rejected(*facts["rejected"])
    offset = 0

    def take(shape: tuple[int, ...], kind: type[np.generic]) -> Any:
        nonlocal offset
        count = int(np.prod(shape))
        array = np.frombuffer(data, dtype=kind, count=count, offset=offset).reshape(shape)
        offset += array.nbytes
        return array

    grey = take(_GREY, np.uint8)
    colours = take(_COLOURS, np.uint8)
    faces = []
    for row in facts["faces"]:
        marks = take((5, 2), np.float32)
        embedding = take((facts["embedding"],), np.float32)
        faces.append(
            Face(
                Box(*row[:4]), marks, row[4], embedding, HeadPose(*row[5:8]), take(_GREY, np.uint8), *row[8:]
            )
        )
    bodies = [Body(take((33, 3), np.float32), Box(*row[:4]), row[4]) for row in facts["bodies"]]
    return Measurement(
        sha256=facts["sha256"],
        width=facts["size"][0],
        height=facts["size"][1],
        format=facts["format"],
        captured_at=facts["captured_at"],
        phash=int(facts["phash"], 16),
        grey=grey,
        sharpness=facts["sharpness"],
        exposure=Exposure(*facts["exposure"]),
        faces=tuple(faces),
        bodies=tuple(bodies),
        warnings=tuple(facts["warnings"]),
        content=Box(*facts["content"]) if facts["content"] else None,
        colours=colours,
        jpeg_quality=facts["jpeg_quality"],
        saved_again=facts["saved_again"],
    )
