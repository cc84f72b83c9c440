"""Pictures for the editors, as `data:` URIs: only who may call the editor's functions ever gets one."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from lora_builder.crop import CropTask, finished
from lora_builder.decode import read_crop, read_photo
from lora_builder.errors import UnreadablePhoto
from lora_builder.ingest import local_file
from lora_builder.masks import Grey
from lora_builder.records import Crop, Photo, Pixels
from lora_builder.settings import Settings

PROXY_SIDE = 1600
"""Longest side in pixels of what the editor draws on: more than a screen shows, a tenth of the bytes."""

PROXY_QUALITY, VIEW_QUALITY = 82, 92
"""JPEG quality of the proxy, and of the view at training size, where faults should be seen."""

VEIL, VEIL_STRENGTH = (200, 30, 30), 0.72
"""Colour over what a mask hides, and how much of it: the picture still shows through."""

AT_ONCE = 2
"""Originals decoded at a time, whatever the number of visitors: each may need a gigabyte."""

REMEMBERED = 24
"""Proxies kept in memory, about 10 MB: the photos around the one in hand."""


@dataclass(frozen=True)
class Finished:
    """Pictures of one training image. `masked`: what does not train lies under red; `trained`: the share
    of the picture that does, 0..1. Both are of no mask where there is none.
    """

    before: str
    after: str
    masked: str = ""
    trained: float = 1.0


class Darkroom:
    """Upright proxies and cut views of photos, few at a time, the latest remembered."""

    def __init__(self) -> None:
        self._gate = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._proxies: OrderedDict[str, str] = OrderedDict()

    def proxy(self, photo: Photo, settings: Settings) -> str:
        """The whole photo, upright, at most `PROXY_SIDE` pixels. Raises UnreadablePhoto."""
        with self._lock:
            known = self._proxies.get(photo.sha256)
            if known is not None:
                self._proxies.move_to_end(photo.sha256)
                return known
        with self._gate, _original_there(), local_file(photo.source, settings) as path:
            made = _uri(read_photo(path, PROXY_SIDE, settings).pixels, PROXY_QUALITY)
        with self._lock:
            self._proxies[photo.sha256] = made
            while len(self._proxies) > REMEMBERED:
                self._proxies.popitem(last=False)
        return made

    def view(self, photo: Photo, crop: Crop, settings: Settings) -> str:
        """The training image itself. Raises UnreadablePhoto."""
        with self._gate, _original_there(), local_file(photo.source, settings) as path:
            return _uri(read_crop(path, crop, settings), VIEW_QUALITY)

    def finished(self, task: CropTask, settings: Settings) -> Finished:
        """The training image before and after its edits, made as a run makes it. Raises UnreadablePhoto."""
        with self._gate, _original_there(), local_file(task.photo.source, settings) as path:
            before = read_crop(path, task.crop, settings)
            after, mask = finished(before, task, settings)
        made = Finished(_uri(before, VIEW_QUALITY), _uri(after, VIEW_QUALITY))
        if mask is None:
            return made
        return replace(
            made, masked=_uri(_veiled(after, mask), VIEW_QUALITY), trained=float(mask.mean()) / 255
        )


@contextmanager
def _original_there() -> Iterator[None]:
    """Turns a file that is gone into a sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadablePhoto("The original is not there any more.", "Put it back.") from error


def _veiled(pixels: Pixels, mask: Grey) -> Pixels:
    """The picture with red over what does not train."""
    veil = (VEIL_STRENGTH * (1 - mask.astype(np.float32) / 255))[:, :, None]
    mixed = pixels * (1 - veil) + np.array(VEIL, np.float32) * veil
    return np.asarray(np.rint(mixed), np.uint8)


def _uri(pixels: Pixels, quality: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
