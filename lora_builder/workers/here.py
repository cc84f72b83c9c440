"""This process: for tests, and for work that is too light to send away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lora_builder.records import Rejected
from lora_builder.workers.interface import Item, Result, check


class Here:
    """Does the work in this process, in order and without limits."""

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        self._cancelled = cancelled

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        warm_up: Callable[[], None] | None = None,
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        """See Workers; a crash here is a crash of the run."""
        for item in items:
            check(self._cancelled)
            yield item, function(item)
