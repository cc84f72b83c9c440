"""Faces by an InsightFace pack on disk, or downloaded when the user asks for it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from lora_builder.errors import ModelUnavailable
from lora_builder.models.interface import Calibration, DetectedFace, ModelInfo
from lora_builder.models.yunet_sface import aligned
from lora_builder.records import Box, Floats, Pixels
from lora_builder.settings import Settings

PACKS = ("buffalo_l", "antelopev2")
NON_COMMERCIAL = "InsightFace's weights are for non-commercial research only."

CALIBRATION = Calibration(((0.0, 0.0), (0.28, 0.5), (0.6, 0.75), (0.75, 0.85), (1.0, 1.0)))
"""Typical of ArcFace's published behaviour, NOT measured here for want of the weights.
`benchmarks/calibrate_faces.py --face-model insightface:buffalo_l` measures them where a pack is."""

DETECTION_SIDE = 640
"""InsightFace's own default: the picture is shrunk into a square of this side to find faces."""

LOAD_ERRORS = (
    OSError, ImportError, AssertionError, RuntimeError, ValueError, KeyError, IndexError, TypeError,
    AttributeError, ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf, ort.NoSuchFile,
    ort.NotImplemented, ort.RuntimeException,
)  # fmt: skip
"""What insightface 2.1, requests (whose errors are OSError) and onnxruntime (whose errors share no base)
raise where files are missing, damaged or not the expected networks."""


def pack_folder(name: str, root: str) -> Path | None:
    """Where the pack's ONNX files are: `name` a folder itself, or a pack below `root`/models."""
    base = _expected(name, root)
    # antelopev2's archive nests its folder once more; nothing on the disk is moved.
    return next((folder for folder in (base, base / base.name) if any(folder.glob("*.onnx"))), None)


def pack_version(name: str, root: str) -> str:
    """Twelve hex digits that change with the pack's weights; empty where it is not on disk."""
    folder = pack_folder(name, root)
    if folder is None:
        return ""
    files = sorted(folder.glob("*.onnx"))
    return _digest(tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@functools.lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """SHA-256 over the files; size and time in the argument make a changed file be read again."""
    digest = hashlib.sha256()
    for name, _, _ in files:
        with Path(name).open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()[:12]


def infos(settings: Settings) -> list[ModelInfo]:
    """For the `models` command: the usual packs, and any other one on disk."""
    models = settings.insightface_root.expanduser() / "models"
    present = [path.name for path in models.iterdir() if path.is_dir()] if models.is_dir() else []
    names = [*PACKS, *sorted(set(present) - set(PACKS))]
    found = {name: pack_folder(name, str(settings.insightface_root)) for name in names}
    return [
        ModelInfo(
            f"insightface:{name}",
            "faces",
            "weights non-commercial research only, code MIT",
            str(folder or models / name),
            folder is not None,
            NON_COMMERCIAL if folder else "not on disk; --set allow_download=true fetches it",
        )
        for name, folder in found.items()
    ]


class InsightfacePack:
    """See `interface.FaceModel`."""

    calibration = CALIBRATION
    rough = False

    def __init__(self, name: str, root: str, allow_download: bool) -> None:
        folder = pack_folder(name, root) or (_download(name, root) if allow_download else None)
        if folder is None:
            raise ModelUnavailable(
                f"The InsightFace pack {name} is not on disk: no ONNX files in {_expected(name, root)}.",
                f"Put it there, or allow its download with ALLOW_DOWNLOAD=true. {NON_COMMERCIAL}",
            )
        self.name = f"insightface:{name}"
        self.version = pack_version(name, root)
        try:
            # insightface prints what it loads; stdout belongs to our own output.
            with contextlib.redirect_stdout(io.StringIO()):
                app = _face_analysis(folder)
            self._detector = app.models["detection"]
            self._recogniser = app.models["recognition"]
        except LOAD_ERRORS as error:
            detail = str(error).strip().splitlines()
            raise ModelUnavailable(
                f"The InsightFace pack in {folder} cannot be loaded ({type(error).__name__}"
                f"{': ' + detail[0] if detail else ''}).",
                "It needs a detection and a recognition network: delete the folder and get the pack again.",
            ) from error

    def find(self, pixels: Pixels) -> list[DetectedFace]:
        with contextlib.redirect_stdout(io.StringIO()):
            rows, marks = self._detector.detect(np.ascontiguousarray(pixels[:, :, ::-1]), max_num=0)
        if marks is None:
            return []
        return [
            DetectedFace(Box.from_corners(*map(float, row[:4])), mark.astype(np.float32), float(row[4]))
            for row, mark in zip(rows, marks, strict=True)
        ]

    def embed(self, pixels: Pixels, landmarks: Floats) -> Floats:
        face = aligned(pixels, landmarks, self._recogniser.input_size[0])
        vector = self._recogniser.get_feat(np.ascontiguousarray(face[:, :, ::-1])).ravel()
        result: Floats = (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
        return result


def _expected(name: str, root: str) -> Path:
    direct = Path(name).expanduser()
    return direct if direct.is_absolute() else Path(root).expanduser() / "models" / name


def _face_analysis(folder: Path) -> Any:
    from insightface.app import FaceAnalysis

    app = FaceAnalysis(
        name=str(folder),
        allowed_modules=["detection", "recognition"],
        providers=["CPUExecutionProvider"],
        sess_options=_one_thread(),
    )
    app.prepare(ctx_id=-1, det_size=(DETECTION_SIDE, DETECTION_SIDE))
    return app


def _one_thread() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _download(name: str, root: str) -> Path | None:
    """Lets insightface fetch the pack; None where what came holds no networks."""
    if Path(name).expanduser().is_absolute():
        return None
    try:
        from insightface.utils import ensure_available

        with contextlib.redirect_stdout(io.StringIO()):
            ensure_available("models", name, root=str(Path(root).expanduser()))
    except LOAD_ERRORS as error:
        raise ModelUnavailable(
            f"The InsightFace pack {name} cannot be downloaded ({type(error).__name__}).",
            f"Check the network, or put the pack into {_expected(name, root)}. {NON_COMMERCIAL}",
        ) from error
    return pack_folder(name, root)
