"""Everything that can go wrong for a reason outside our code, in one tree.

    LoraBuilderError
    ├── BadSettings          a value is out of range, or two values contradict each other
    ├── BadInput             the input folder, file or archive cannot be used
    │   └── BadArchive       a ZIP is encrypted, damaged, or expands past its limits
    ├── UnreadablePhoto      one picture cannot be decoded; becomes a verdict, never ends a job
    │   └── UnreadableNow    the same, but it may go well another time: is not remembered
    ├── WorkersFailing       worker processes die whatever photo they are given
    ├── ClusterUnavailable   the cluster of workers cannot be reached, or has none
    │   └── ClusterUnfit     it is there, but not as it must be: no other try would end better
    ├── CaptionsMissing      photos without a caption keep a set from being packed
    ├── ModelUnavailable     a model's weights are missing, altered, or not installed
    ├── StoreUnavailable     the database cannot be opened or written
    ├── OutputUnwritable     the output folder is read-only or its disk is full
    ├── HubRefused           the Hugging Face Hub refuses a push, or cannot be reached
    ├── ProjectBusy          another process works on the same project
    └── Cancelled            the user asked to stop; what was done is kept

Each carries `message`, one sentence that names the thing, and `remedy`, what the user can do.
Bugs of ours are not in this tree: they end the run with a traceback.
"""

from __future__ import annotations


class LoraBuilderError(Exception):
    """A failure to show to the user: what happened, and what to do about it.

    `passing`: the same may go well another time, with nothing changed by anybody.
    """

    passing = False

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class BadSettings(LoraBuilderError):
    """A value is out of its range, or two values contradict each other."""


class BadInput(LoraBuilderError):
    """The input folder, file or archive cannot be used."""


class BadArchive(BadInput):
    """A ZIP is encrypted, damaged, or expands past its limits."""


class UnreadablePhoto(LoraBuilderError):
    """One picture cannot be decoded."""


class UnreadableNow(UnreadablePhoto):
    """One picture cannot be decoded now; under other limits, or another time, it may well be."""

    passing = True


class WorkersFailing(LoraBuilderError):
    """Worker processes die whatever photo they are given."""


class ClusterUnavailable(LoraBuilderError):
    """The cluster of workers cannot be reached, or has none. One that restarts comes back."""

    passing = True


class ClusterUnfit(ClusterUnavailable):
    """The cluster is there, but its versions, folders or settings are not as they must be."""

    passing = False


class CaptionsMissing(LoraBuilderError):
    """Photos without a caption keep a set from being packed."""


class ModelUnavailable(LoraBuilderError):
    """A model's weights are missing, altered, or not installed."""


class StoreUnavailable(LoraBuilderError):
    """The database cannot be opened or written."""


class OutputUnwritable(LoraBuilderError):
    """The output folder is read-only or its disk is full."""


class HubRefused(LoraBuilderError):
    """The Hugging Face Hub refuses a push, or cannot be reached."""


class ProjectBusy(LoraBuilderError):
    """Another process works on the same project."""


class Cancelled(LoraBuilderError):
    """The user asked to stop; what was done is kept."""
