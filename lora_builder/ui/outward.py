"""A visitor's own vision models: what is noted of them, where their keys are, what a run may do with both.

Addresses, models and limits are noted with the project. A key is only in this process's memory, by
visitor and address: it is in no file, and a key typed for one address is never sent to another. A
visitor's endpoint never gets a key of the machine's environment.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from lora_builder.caption.endpoints import PRESETS, Endpoint, endpoint, endpoints_of, hosts, models_of
from lora_builder.errors import BadInput, BadSettings
from lora_builder.records import Stage
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
class Named:
    """One model at one address, with the limits of `endpoints.Model`.

    `captions`, `focus`: what it is asked for.
    """

    url: str
    model: str
    captions: bool = True
    focus: bool = False
    per_minute: int | None = None
    per_day: int | None = None
    parallel: int | None = None
    price_in: float | None = None
    price_out: float | None = None

    @property
    def host(self) -> str:
        """Where pictures go."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class Outside:
    """The vision models that a visitor chose for a project, by priority, at any number of addresses.

    `keyed`: the addresses for which a key was given. `agreed`: the hosts to which the visitor agreed to
    send pictures.
    """

    models: tuple[Named, ...]
    keyed: tuple[str, ...] = ()
    agreed: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses, in the order in which they are asked."""
        return tuple(dict.fromkeys(named.url for named in self.models))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where pictures go."""
        return tuple(dict.fromkeys(named.host for named in self.models))

    @property
    def may_send(self) -> bool:
        """Whether the visitor agreed to every host."""
        return set(self.hosts) <= set(self.agreed)

    @property
    def looks(self) -> bool:
        """Whether a model is asked for the focus."""
        return any(named.focus for named in self.models)

    @property
    def recipe(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """What captions and crops depend on: addresses and models by priority, without limits."""
        captions = [(named.url, named.model) for named in self.models if named.captions]
        return captions, [(named.url, named.model) for named in self.models if named.focus]


def read(store: Store, project: Project) -> Outside | None:
    """The project's own models; None: the machine's settings say who writes."""
    note = store.notes.read(project.id, NOTE)
    if note.get("url"):  # as it was noted when there was one address only
        names = [*note["models"], note.get("fallback")]
        models = tuple(Named(note["url"], name) for name in dict.fromkeys(names) if name)
        keyed = (note["url"],) if note.get("keyed") else ()
        return Outside(models, keyed, (note["agreed"],) if note.get("agreed") else ())
    if not note.get("models"):
        return None
    return Outside(tuple(Named(**one) for one in note["models"]), tuple(note["keyed"]), tuple(note["agreed"]))


def write(store: Store, project: Project, chosen: Outside | None) -> None:
    """Notes them; None: as the machine's settings say again."""
    store.notes.write(project.id, NOTE, asdict(chosen) if chosen and chosen.models else {})


def checked(url: str, models: Sequence[str], settings: Settings) -> list[Named]:
    """What a visitor typed. Raises BadSettings where it cannot be used."""
    names = list(dict.fromkeys(name.strip() for name in models if name.strip()))
    if not names or len(names) > MOST_MODELS:
        raise BadSettings("No model is named.", "Read the list of models, or type a name.")
    for text in (url, *names):
        # The settings keep models in lists with commas, and limits after a space.
        if len(text) > LONGEST or not text.isprintable() or (text != url and re.search(r"[,\s]", text)):
            raise BadSettings(f"{text[:60]!r} is no name of a model.", "Copy it from the server's list.")
    address = endpoint("own", url, settings).url
    return [Named(address, name) for name in names]


def added(before: Outside | None, models: Sequence[Named], keyed: bool) -> Outside:
    """The list with more models at its end; those that are there keep place and limits."""
    known = before or Outside(())
    there = {(named.url, named.model) for named in known.models}
    fresh = [named for named in models if (named.url, named.model) not in there]
    if len(known.models) + len(fresh) > MOST_MODELS:
        raise BadSettings(f"There are more than {MOST_MODELS} models.", "Take some out of the list.")
    urls = {named.url for named in models}
    kept = [url for url in known.keyed if url not in urls]
    return replace(known, models=(*known.models, *fresh), keyed=tuple(kept + sorted(urls) if keyed else kept))


def arranged(before: Outside, wanted: Sequence[Mapping[str, Any]]) -> Outside:
    """The list as the visitor arranged it: order, limits and uses changed, or models taken out.

    No model comes in this way: addresses are checked where they are typed. Raises BadSettings.
    """
    known = {(named.url, named.model): named for named in before.models}
    models = []
    for entry in wanted:
        said: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
        named = known.pop((str(said.get("url")), str(said.get("model"))), None)
        if named is None:
            raise BadSettings("The list names a model that is not in it.", "Load the page again.")
        whole = {name: _number(said.get(name), whole=True) for name in ("per_minute", "per_day", "parallel")}
        price = {name: _number(said.get(name), whole=False) for name in ("price_in", "price_out")}
        captions, focus = said.get("captions") is True, said.get("focus") is True
        models.append(replace(named, captions=captions, focus=focus, **whole, **price))
    if models and not any(named.captions for named in models):
        raise BadSettings("No model of the list writes captions.", "Tick captions at one, or empty the list.")
    urls = {named.url for named in models}
    return replace(before, models=tuple(models), keyed=tuple(u for u in before.keyed if u in urls))


def _number(value: object, whole: bool) -> Any:
    """A limit from the page; None: no limit. Raises BadSettings."""
    if value is None:
        return None
    low, most = (1, 10**7) if whole else (0, 10**5)
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= most
    if not good or (whole and value != int(value)):  # type: ignore[call-overload]
        raise BadSettings(
            "A limit is a whole number above 0, a price dollars a million tokens.", "Or leave it empty."
        )
    return int(value) if whole else float(value)  # type: ignore[call-overload, arg-type]


def place(url: str, key: SecretStr, settings: Settings, owner: str, local: bool) -> Endpoint:
    """The endpoint at that address with that key alone. Raises BadSettings."""
    chosen = Outside((Named(endpoint("own", url, settings).url, "any"),))
    settings = _with(settings, chosen, {chosen.urls[0]: key}, owner, local)
    return next(iter(endpoints_of(settings).values()))


def applied(store: Store, project: Project, settings: Settings, keys: Keys, local: bool) -> Settings:
    """The settings of a run that may send: with the visitor's models in the place of the machine's.

    Raises BadSettings where the visitor has not agreed to a host, or a key is gone.
    """
    chosen = read(store, project)
    if chosen is None:
        return settings
    if not chosen.may_send:
        host = next(host for host in chosen.hosts if host not in chosen.agreed)
        raise BadSettings(
            f"Nobody has agreed yet that pictures go to {host}.", "Agree in Caption, then run again."
        )
    owner = project.owner or ""
    found = {url: keys.of(owner, url) for url in chosen.urls}
    for url in chosen.keyed:
        if not found[url].get_secret_value():
            raise BadSettings(
                f"The key for {urlsplit(url).netloc} is gone: it was kept in memory only.",
                "Type it again in Caption.",
            )
    return _with(settings, chosen, found, owner, local)


def sends(chosen: Outside | None, stages: Collection[Stage]) -> bool:
    """Whether a run of those stages sends pictures to the visitor's models; None: to the machine's."""
    writes = Stage.CAPTION in stages or Stage.PACK in stages
    return writes or (chosen is not None and chosen.looks and bool({Stage.FOCUS, Stage.CROP} & set(stages)))


def looked_for(store: Store, project: Project, settings: Settings) -> bool:
    """Whether a vision model looks for the focus: the visitor's own, or the machine's."""
    chosen = read(store, project)
    return bool(settings.focus_model) if chosen is None else chosen.looks


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


def _with(
    settings: Settings, chosen: Outside, keys: Mapping[str, SecretStr], owner: str, local: bool
) -> Settings:
    names = _names(chosen.urls, owner, local)
    labels = {named: f"{named.model}@{names[named.url]}" for named in chosen.models}
    return settings.model_copy(
        update={
            "base_url": "",
            "modelscope_token": SecretStr(""),
            "endpoints": tuple(f"{name}={url}" for url, name in names.items()),
            # Also an empty one counts: then no key of the environment is looked for.
            "endpoint_keys": {name: keys[url] for url, name in names.items()},
            "tag_model": ",".join(labels[named] for named in chosen.models if named.captions),
            "focus_model": ",".join(labels[named] for named in chosen.models if named.focus),
            "fallback_model": "",
            "model_limits": tuple(" ".join((labels[named], *_limits(named))) for named in chosen.models),
            "one_request": False,
            "private_endpoints": settings.private_endpoints if local else "refuse",
        }
    )


def _limits(named: Named) -> list[str]:
    """The model's limits as the setting `model_limits` spells them."""
    said = {
        "rpm": named.per_minute,
        "rpd": named.per_day,
        "parallel": named.parallel,
        "in": named.price_in,
        "out": named.price_out,
    }
    return [f"{name}={value:.6f}" if name in ("in", "out") else f"{name}={value}"
            for name, value in said.items() if value is not None]  # fmt: skip


def _names(urls: Sequence[str], owner: str, local: bool) -> dict[str, str]:
    """The endpoints' names by address, each another one."""
    names: dict[str, str] = {}
    for url in urls:
        name = _name(url, owner, local)
        while name in names.values():
            name += "x"
        names[url] = name
    return names


def _name(url: str, owner: str, local: bool) -> str:
    """The endpoint's name, as captions name it. On a shared app each visitor's is another one: quotas,
    pauses and known answers belong to whoever pays."""
    preset = next((p.name for p in PRESETS.values() if p.url == url), None)
    name = preset or re.sub(r"[^A-Za-z0-9]+", "-", urlsplit(url).netloc).strip("-")[:30]
    if not name[:1].isalpha():
        name = f"host-{name}"
    return name if local else f"{name}-{hashlib.sha256(owner.encode()).hexdigest()[:6]}"


def agree(store: Store, project: Project, chosen: Outside, yes: bool) -> None:
    """Notes whether pictures may go to the hosts."""
    write(store, project, replace(chosen, agreed=chosen.hosts if yes else ()))
