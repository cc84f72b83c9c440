"""What every engine promises, and what they share: patience, and telling bad photos from bad luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

from lora_builder.errors import Cancelled, WorkersFailing
from lora_builder.records import Rejected

Item = TypeVar("Item")
Result = TypeVar("Result")

FIRST_FAILURES, FAILURES = 5, 20
"""So many photos in a row that kill or stall their workers, at the start or later: it is not the photos."""


class Workers(Protocol):
    """Workers that live as long as a run, so that they start and load their models once."""

    def __enter__(self) -> Workers: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        warm_up: Callable[[], None] | None = None,
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        """Each item with what `function` made of it, as they come; once, and none is left out.

        Only a few items a worker are under way at a time, so memory does not grow with their number.
        `warm_up` runs once a worker before its first item and counts against no limit. A crash, an
        overrun or a lack of memory gives Rejected, passing; any exception of `function` or `warm_up`
        ends the run as it is. A worker that is lost through no fault of its item's costs nothing: the
        item is tried again. Raises Cancelled soon after it was asked for, WorkersFailing where workers
        die of no photo's fault, ClusterUnavailable. Closing the iterator stops the work.
        """
        ...


@dataclass(frozen=True)
class Fault(Rejected):
    """A photo that took its worker along: no word of `function`, but the end of whoever ran it."""


class Streak:
    """Counts faults in a row, for it can be the photos only so often."""

    def __init__(self) -> None:
        self._faults = 0
        self._succeeded = False

    def seen(self, result: Result | Rejected) -> Result | Rejected:
        """The result as it is. Raises WorkersFailing when it cannot be the photos any more."""
        if not isinstance(result, Fault):
            self._faults, self._succeeded = 0, True
            return result
        self._faults += 1
        if self._faults >= (FAILURES if self._succeeded else FIRST_FAILURES):
            raise WorkersFailing(
                f"{self._faults} photos in a row failed alike: {result.message}",
                "It is hardly the photos: see `lora-dataset-builder doctor`.",
            )
        return result


def check(cancelled: Callable[[], bool]) -> None:
    """Raises Cancelled where it was asked for."""
    if cancelled():
        raise Cancelled("Stopped. What was done is kept.", "Run again to go on.")
