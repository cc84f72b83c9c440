"""A visitor's own vision model: what is noted of it, where its key is, and what a run may do with both.

The address and the models are noted with the project. The key is only in this process's memory, by
visitor and address: it is in no file, and a key typed for one address is never sent to another. A
visitor's endpoint never gets a key of the machine's environment.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from urllib.parse import urlsplit

from pydantic import SecretStr

from lora_builder.caption.endpoints import PRESETS, Endpoint, endpoint, endpoints_of, hosts, models_of
from lora_builder.errors import BadInput, BadSettings
from lora_builder.settings import Settings
from lora_builder.store import Project, Store

NOTE = "endpoint"
"""Kind of the project's note."""

MOST_KEYS = 1000
"""Keys in memory; the one unused longest is forgotten first."""

LONGEST = 400
"""Characters of an address, a key or a model's name."""

MOST_MODELS = 20

SENDING = frozenset({None, "caption", "export"})
"""Steps whose runs may send pictures; None: all of them."""


@dataclass
class Keys:
    """Keys by visitor and address, as long as the app runs."""

    _known: OrderedDict[tuple[str, str], SecretStr] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def keep(self, owner: str, url: str, key: SecretStr) -> None:
        """Remembers the visitor's key for that address, and for no other."""
        with self._lock:
            self._known[owner, url] = key
            self._known.move_to_end((owner, url))
            while len(self._known) > MOST_KEYS:
                self._known.popitem(last=False)

    def of(self, owner: str, url: str) -> SecretStr:
        """The visitor's key for that address; empty where there is none."""
        with self._lock:
            if (owner, url) in self._known:
                self._known.move_to_end((owner, url))
            return self._known.get((owner, url), SecretStr(""))

    def forget(self, owner: str) -> None:
        """Forgets all keys of a visitor."""
        with self._lock:
            for place in [place for place in self._known if place[0] == owner]:
                del self._known[place]


@dataclass(frozen=True)
class Outside:
    """The endpoint that a visitor chose for a project. `models` by priority, the fallback last.

    `keyed`: a key was given. `agreed`: the host to which the visitor agreed to send pictures.
    """

    url: str
    models: tuple[str, ...]
    fallback: str = ""
    keyed: bool = False
    agreed: str = ""

    @property
    def host(self) -> str:
        """Where pictures go."""
        return urlsplit(self.url).netloc


def read(store: Store, project: Project) -> Outside | None:
    """The project's own endpoint; None: the machine's settings say who writes."""
    note = store.notes.read(project.id, NOTE)
    if not note.get("url"):
        return None
    return Outside(**{**note, "models": tuple(note["models"])})


def write(store: Store, project: Project, chosen: Outside | None) -> None:
    """Notes it; None: as the machine's settings say again."""
    store.notes.write(project.id, NOTE, asdict(chosen) if chosen else {})


def checked(url: str, models: Sequence[str], fallback: str, settings: Settings) -> Outside:
    """What a visitor typed. Raises BadSettings where it cannot be used."""
    names = tuple(dict.fromkeys(name.strip() for name in models if name.strip()))
    if not names or len(names) > MOST_MODELS:
        raise BadSettings("No model is named.", "Read the list of models, or type a name.")
    for text in (url, fallback, *names):
        if len(text) > LONGEST or not text.isprintable() or ("," in text and text != url):
            raise BadSettings(f"{text[:60]!r} is no name of a model.", "Copy it from the server's list.")
    return Outside(endpoint("own", url, settings).url, names, fallback.strip())


def place(url: str, key: SecretStr, settings: Settings, owner: str, local: bool) -> Endpoint:
    """The endpoint at that address with that key alone. Raises BadSettings."""
    settings = _with(settings, Outside(endpoint("own", url, settings).url, ("any",)), key, owner, local)
    return next(iter(endpoints_of(settings).values()))


def applied(store: Store, project: Project, settings: Settings, keys: Keys, local: bool) -> Settings:
    """The settings of a run that may send: with the visitor's endpoint in the place of the machine's.

    Raises BadSettings where the visitor has not agreed to the host, or the key is gone.
    """
    chosen = read(store, project)
    if chosen is None:
        return settings
    if chosen.agreed != chosen.host:
        raise BadSettings(
            f"Nobody has agreed yet that pictures go to {chosen.host}.", "Agree in Caption, then run again."
        )
    key = keys.of(project.owner or "", chosen.url)
    if chosen.keyed and not key.get_secret_value():
        raise BadSettings(
            f"The key for {chosen.host} is gone: it was kept in memory only.", "Type it again in Caption."
        )
    return _with(settings, chosen, key, project.owner or "", local)


def insist(store: Store, project: Project, settings: Settings, keys: Keys, local: bool, agreed: str) -> None:
    """Raises where a run would send pictures to a host that the visitor has not agreed to.

    `agreed`: the hosts of the machine's own settings that they agreed to, joined by commas.
    """
    if read(store, project) is not None:
        applied(store, project, settings, keys, local)
        return
    wanted = machine_hosts(settings)
    if wanted and agreed != wanted:
        raise BadInput(
            f"Pictures would go to {wanted}, and you have not agreed to that yet.",
            "Agree in Caption, then run again.",
        )


def machine_hosts(settings: Settings) -> str:
    """Where the machine's own settings would send pictures; empty: nowhere."""
    models = models_of(settings, settings.tag_model)
    if settings.focus_model:
        models += models_of(settings, settings.focus_model)
    return ", ".join(hosts(models))


def _with(settings: Settings, chosen: Outside, key: SecretStr, owner: str, local: bool) -> Settings:
    name = _name(chosen.url, owner, local)
    return settings.model_copy(
        update={
            "base_url": "",
            "modelscope_token": SecretStr(""),
            "endpoints": (f"{name}={chosen.url}",),
            # Also an empty one counts: then no key of the environment is looked for.
            "endpoint_keys": {name: key},
            "tag_model": ",".join(chosen.models),
            "fallback_model": chosen.fallback,
            "focus_model": "",
            "one_request": False,
            "private_endpoints": settings.private_endpoints if local else "refuse",
        }
    )


def _name(url: str, owner: str, local: bool) -> str:
    """The endpoint's name, as captions name it. On a shared app each visitor's is another one: quotas,
    pauses and known answers belong to whoever pays."""
    preset = next((p.name for p in PRESETS.values() if p.url == url), None)
    name = preset or re.sub(r"[^A-Za-z0-9]+", "-", urlsplit(url).netloc).strip("-")[:30]
    if not name[:1].isalpha():
        name = f"host-{name}"
    return name if local else f"{name}-{hashlib.sha256(owner.encode()).hexdigest()[:6]}"


def agree(store: Store, project: Project, chosen: Outside, yes: bool) -> None:
    """Notes whether pictures may go to the host."""
    write(store, project, replace(chosen, agreed=chosen.host if yes else ""))
