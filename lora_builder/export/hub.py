"""Pushes a dataset to the Hugging Face Hub; private unless told otherwise.

Resumable by content: a file that arrived is known there by its hash and is not sent again, and the
commit that makes the files visible comes last, all or nothing. Never called unless asked: this is the
only place of the export room that reaches out.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_builder.errors import BadInput, BadSettings, HubRefused
from lora_builder.explain import printable
from lora_builder.export.card import card
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS, Entry, Material
from lora_builder.export.manifest import package_manifest
from lora_builder.export.plan import plan
from lora_builder.export.write import refuse
from lora_builder.export.writer import write_folder
from lora_builder.files import scratch, swept
from lora_builder.records import Decision
from lora_builder.settings import Settings
from lora_builder.sums import Sums

BATCH = 16
"""Files sent between two steps of progress."""

LAYOUT = "imagefolder"

Progress = Callable[[int, int], None]
"""Files that have arrived, and all files."""

_SAID = {
    400: ("The Hub does not understand the request", "Check the repository's name: OWNER/NAME."),
    401: ("The Hub does not know this token", "Make one that may write, and set it as HF_TOKEN."),
    402: ("Your account's storage is full", "Free some space on the Hub, or take a larger plan."),
    403: ("This token may not write there", "Give it write access, or choose a repository of your own."),
    404: ("There is no such account or repository, or the token may not see it", "Check OWNER/NAME."),
    409: ("Somebody else changed the repository at the same moment", "Push again."),
    413: ("A file is too large for the Hub", "Export smaller pictures."),
    429: ("The Hub asks for a pause", "Wait some minutes and push again; what arrived is kept."),
    507: ("Your account's storage is full", "Free some space on the Hub, or take a larger plan."),
}


@dataclass(frozen=True)
class Pushed:
    """Where the dataset is now: its address, and the commit."""

    url: str
    commit: str
    files: int
    private: bool


def push(
    images: Sequence[TrainingImage],
    decisions: Sequence[Decision],
    settings: Settings,
    repository: str,
    token: str,
    *,
    public: bool = False,
    message: str = "Upload the dataset",
    coverage: dict[str, dict[str, int]] | None = None,
    progress: Progress = lambda done, total: None,
    endpoint: str | None = None,
) -> Pushed:
    """Uploads the pictures as an imagefolder with a card and a manifest, in one commit.

    `repository`: OWNER/NAME; made if it is not there. `coverage`: as in report.json, for the card.
    Files under train/ of an earlier push that are not in this one are removed by the same commit.
    Raises BadSettings (a public push without consent or licence; no token), BadInput (the repository
    is public already and this push is not), HubRefused.
    """
    check(settings, repository, token, public)
    wanted = settings.model_copy(update={"layouts": (LAYOUT,)})
    refuse(plan(images, wanted))
    text = card(images, len(decisions), coverage or {}, settings)
    # Below the data folder: there the next run finds what a killed push left.
    with (
        swept(settings.data_dir),
        tempfile.TemporaryDirectory(dir=scratch(settings.data_dir)) as place,
        _hub_errors(token),
    ):
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        folder = Path(place) / LAYOUT
        material = Material(images, wanted)
        finish = functools.partial(package_manifest, LAYOUT, images, decisions=decisions, settings=settings)
        entries = [Entry("README.md", text.encode()), *LAYOUTS[LAYOUT].entries(material)]
        write_folder(folder, entries, Sums(), finish)
        api = HfApi(endpoint=endpoint, token=token, library_name="lora-dataset-builder")
        private = _repository(api, repository, public)
        return _send(api, repository, folder, message, progress, private)


def check(settings: Settings, repository: str, token: str, public: bool) -> None:
    """Raises BadSettings for what is known to be missing before anything is sent."""
    if not token.strip():
        raise BadSettings("There is no token for the Hub.", "Set HF_TOKEN to one that may write.")
    owner, slash, name = repository.partition("/")
    if not (slash and owner and name) or not all(
        c.isascii() and (c.isalnum() or c in "-_.") for c in owner + name
    ):
        raise BadSettings(f"{repository!r} is not OWNER/NAME.", "As in anna/portraits.")
    if public and not settings.consent.strip():
        raise BadSettings(
            "A public push needs the consent of whoever is shown.",
            "State who agreed and how: --consent TEXT.",
        )
    if public and not settings.licence.strip():
        raise BadSettings("A public push needs a licence.", "As the Hub names it: --licence cc-by-4.0.")


def _repository(api: object, repository: str, public: bool) -> bool:
    """Makes sure that the repository is there and no more public than asked for; whether it is private."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    assert isinstance(api, HfApi)
    try:
        private = bool(api.repo_info(repository, repo_type="dataset").private)
    except RepositoryNotFoundError:
        api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        return not public
    if not private and not public:
        raise BadInput(
            f"{repository} is public, and this push is not.",
            "Choose another name, make it private on the Hub, or push with --public.",
        )
    return private


def _send(
    api: object, repository: str, folder: Path, message: str, progress: Progress, private: bool
) -> Pushed:
    """Sends the files, then commits them all."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    assert isinstance(api, HfApi)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    adds = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
    progress(0, len(adds))
    for start in range(0, len(adds), BATCH):
        api.preupload_lfs_files(
            repository, adds[start : start + BATCH], repo_type="dataset", free_memory=False, num_threads=2
        )
        progress(min(start + BATCH, len(adds)), len(adds))
    kept = {add.path_in_repo for add in adds}
    stale = [
        name
        for name in api.list_repo_files(repository, repo_type="dataset")
        if name.startswith("train/") and name not in kept
    ]
    operations: list[Any] = [*adds, *(CommitOperationDelete(name) for name in sorted(stale))]
    commit = api.create_commit(
        repository, operations, commit_message=message.strip() or "Upload the dataset", repo_type="dataset"
    )
    return Pushed(f"{api.endpoint}/datasets/{repository}", commit.oid, len(adds), private)


@contextmanager
def _hub_errors(token: str) -> Iterator[None]:
    """What the Hub and the line to it may say becomes a sentence and what to do; never the token."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    told = (HfHubHTTPError, HFValidationError, httpx2.HTTPError, ConnectionError, TimeoutError)
    try:
        yield
    except told as error:
        raise _refused(error, token) from None
    except RuntimeError as error:
        # huggingface_hub wraps what happened to one file of many.
        if not isinstance(error.__cause__, told):
            raise
        raise _refused(error.__cause__, token) from None


def _refused(error: BaseException, token: str) -> HubRefused | BadSettings:
    """The sentence for one of those errors."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if isinstance(error, HFValidationError):
        return BadSettings(printable(str(error)).replace(token, "***"), "Check OWNER/NAME.")
    if not isinstance(error, HfHubHTTPError):
        return HubRefused(
            f"The line to the Hub was cut ({type(error).__name__}).",
            "Push again to go on: what arrived is kept.",
        )
    status = error.response.status_code
    said, remedy = _SAID.get(status, (f"The Hub answered {status}", "Try again later; what arrived is kept."))
    told = printable(error.server_message or "")[:200].replace(token, "***")
    return HubRefused(f"{said}{f': {told}' if told else ''}.", remedy)


def coverage_of_report(folder: Path) -> dict[str, dict[str, int]]:
    """What the project's report.json counted; nothing where there is none."""
    try:
        found = json.loads((folder / "report.json").read_text("utf-8"))["coverage"]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(group): dict(classes) for group, classes in found.items()}
