"""Models, chosen by name and loaded once a process."""

from __future__ import annotations

import functools
from collections.abc import Callable

from lora_builder.errors import BadSettings
from lora_builder.models.interface import BodyModel, Calibration, FaceModel, ModelInfo
from lora_builder.settings import Settings


def load_face_model(settings: Settings) -> FaceModel:
    """The face model of `settings.face_model`. Raises ModelUnavailable, BadSettings."""
    return _face_model(settings.face_model, str(settings.insightface_root), settings.allow_download)


def load_body_model(settings: Settings) -> BodyModel:
    """The body model of `settings.body_model`. Raises ModelUnavailable, BadSettings."""
    return _body_model(settings.body_model)


def calibration(settings: Settings) -> Calibration:
    """The calibration of the face model in force; loads no weights."""
    if _pack(settings.face_model):
        from lora_builder.models.insightface_pack import CALIBRATION
    else:
        from lora_builder.models.yunet_sface import CALIBRATION
    return CALIBRATION


def versions(settings: Settings) -> str:
    """Names and versions of the models in force, for cache keys; loads no weights."""
    from lora_builder.models import insightface_pack, mediapipe_body, yunet_sface

    pack = _pack(settings.face_model)
    if pack:
        face = f"insightface:{pack} {insightface_pack.pack_version(pack, str(settings.insightface_root))}"
    else:
        face = f"{yunet_sface.NAME} {yunet_sface.VERSION}"
    body = f"{mediapipe_body.NAME} {mediapipe_body.PINNED}" if settings.body_model != "none" else "none"
    return f"{face}|{body}"


def warm_up(settings: Settings) -> None:
    """Loads what measuring will need, so that the first photo waits for nothing."""
    load_face_model(settings)
    load_body_model(settings)


def loading(settings: Settings) -> Callable[[], None]:
    """`warm_up` for workers: the same for all runs with these models, so that nothing is loaded twice."""
    return functools.partial(
        _load,
        settings.face_model,
        str(settings.insightface_root),
        settings.allow_download,
        settings.body_model,
    )


def _load(face_model: str, insightface_root: str, allow_download: bool, body_model: str) -> None:
    _face_model(face_model, insightface_root, allow_download)
    _body_model(body_model)


def available(settings: Settings) -> list[ModelInfo]:
    """Every model that can be named, and whether it is ready to use."""
    from lora_builder.models import insightface_pack, mediapipe_body, yunet_sface

    return [yunet_sface.info(), *insightface_pack.infos(settings), *mediapipe_body.infos()]


def _pack(name: str) -> str:
    """The InsightFace pack of a face model's name, empty for YuNet and SFace."""
    if name == "yunet-sface":
        return ""
    kind, _, pack = name.partition(":")
    if kind != "insightface" or not pack:
        raise BadSettings(f"There is no face model {name!r}.", "`models` lists them.")
    return pack


@functools.lru_cache(maxsize=1)
def _face_model(name: str, insightface_root: str, allow_download: bool) -> FaceModel:
    import cv2

    # The worker processes are the parallelism; threads inside them would only get in each other's way.
    cv2.setNumThreads(1)
    if pack := _pack(name):
        from lora_builder.models.insightface_pack import InsightfacePack

        return InsightfacePack(pack, insightface_root, allow_download)
    from lora_builder.models.yunet_sface import YunetSface

    return YunetSface()


@functools.lru_cache(maxsize=1)
def _body_model(name: str) -> BodyModel:
    if name == "none":
        from lora_builder.models.mediapipe_body import NoBody

        return NoBody()
    if name == "mediapipe":
        from lora_builder.models.mediapipe_body import MediapipeBody

        return MediapipeBody()
    raise BadSettings(f"There is no body model {name!r}.", "`models` lists them.")
