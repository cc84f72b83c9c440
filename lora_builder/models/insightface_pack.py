"""Faces by an InsightFace pack on disk, or downloaded when the user asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lora_builder.errors import ModelUnavailable
from lora_builder.models.interface import Calibration, DetectedFace, ModelInfo
from lora_builder.models.yunet_sface import aligned
from lora_builder.records import Box, Floats, Pixels
from lora_builder.settings import Settings

PACKS = ("buffalo_l", "antelopev2")
NOTICE = "InsightFace's weights are for non-commercial research only."

CALIBRATION = Calibration(((0.0, 0.0), (0.28, 0.5), (0.6, 0.75), (0.75, 0.85), (1.0, 1.0)))
"""From ArcFace's published behaviour; not measured here, for want of the weights."""


def pack_folder(name: str, root: str) -> Path | None:
    """Where the pack's ONNX files are: `name` a folder itself, or a pack below `root`/models."""
    base = Path(name) if Path(name).is_dir() else Path(root).expanduser() / "models" / name
    # antelopev2's archive nests its folder once more.
    return next((folder for folder in (base, base / base.name) if any(folder.glob("*.onnx"))), None)


def infos(settings: Settings) -> list[ModelInfo]:
    """For the `models` command."""
    found = {name: pack_folder(name, str(settings.insightface_root)) for name in PACKS}
    return [
        ModelInfo(
            f"insightface:{name}",
            "faces",
            "weights non-commercial research only, code MIT",
            str(folder or ""),
            folder is not None,
            "" if folder else "not on disk; --set allow_download=true fetches it",
        )
        for name, folder in found.items()
    ]


class InsightfacePack:
    """See `interface.FaceModel`."""

    calibration = CALIBRATION

    def __init__(self, name: str, root: str, allow_download: bool) -> None:
        folder = pack_folder(name, root)
        if folder is None and not allow_download:
            raise ModelUnavailable(
                f"The InsightFace pack {name} is not below {root}/models.",
                f"Put it there, or allow its download. {NOTICE}",
            )
        from insightface.app import FaceAnalysis

        self.name = f"insightface:{name}"
        self.version = folder.name if folder else name
        try:
            self._app = FaceAnalysis(
                name=str(folder or name),
                root=str(Path(root).expanduser()),
                allowed_modules=["detection", "recognition"],
                providers=["CPUExecutionProvider"],
            )
            self._app.prepare(ctx_id=-1, det_size=(640, 640))
        except (OSError, AssertionError, RuntimeError, ValueError) as error:
            raise ModelUnavailable(f"The InsightFace pack {name} cannot be loaded.", str(error)) from error

    def find(self, pixels: Pixels) -> list[DetectedFace]:
        rows, marks = self._app.det_model.detect(np.ascontiguousarray(pixels[:, :, ::-1]), max_num=0)
        return [
            DetectedFace(Box.from_corners(*map(float, row[:4])), mark.astype(np.float32), float(row[4]))
            for row, mark in zip(rows, marks, strict=True)
        ]

    def embed(self, pixels: Pixels, landmarks: Floats) -> Floats:
        model = self._app.models["recognition"]
        face = aligned(pixels, landmarks, model.input_size[0])
        vector = model.get_feat(np.ascontiguousarray(face[:, :, ::-1])).ravel()
        result: Floats = (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
        return result
