"""Models, chosen by name and loaded once a process."""

from __future__ import annotations

import functools

from lora_builder.errors import BadSettings
from lora_builder.models.interface import BodyModel, FaceModel, ModelInfo
from lora_builder.settings import Settings


def load_face_model(settings: Settings) -> FaceModel:
    """The face model of `settings.face_model`. Raises ModelUnavailable, BadSettings."""
    return _face_model(settings.face_model, str(settings.insightface_root), settings.allow_download)


def load_body_model(settings: Settings) -> BodyModel:
    """The body model of `settings.body_model`. Raises ModelUnavailable, BadSettings."""
    return _body_model(settings.body_model)


def warm_up(settings: Settings) -> None:
    """Loads what measuring will need, so that the first photo waits for nothing."""
    load_face_model(settings)
    load_body_model(settings)


def available(settings: Settings) -> list[ModelInfo]:
    """Every model that can be named, and whether it is ready to use."""
    from lora_builder.models import insightface_pack, mediapipe_body, yunet_sface

    return [yunet_sface.info(), *insightface_pack.infos(settings), mediapipe_body.info()]


@functools.lru_cache(maxsize=1)
def _face_model(name: str, insightface_root: str, allow_download: bool) -> FaceModel:
    if name == "yunet-sface":
        from lora_builder.models.yunet_sface import YunetSface

        return YunetSface()
    kind, _, pack = name.partition(":")
    if kind == "insightface" and pack:
        from lora_builder.models.insightface_pack import InsightfacePack

        return InsightfacePack(pack, insightface_root, allow_download)
    raise BadSettings(f"There is no face model {name!r}.", "`models` lists them.")


@functools.lru_cache(maxsize=1)
def _body_model(name: str) -> BodyModel:
    if name == "mediapipe":
        from lora_builder.models.mediapipe_body import MediapipeBody

        return MediapipeBody()
    raise BadSettings(f"There is no body model {name!r}.", "`models` lists them.")
