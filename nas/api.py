"""`nas.search`: of a space by training, or of a table of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from nas.run import Run
    from nas.table_search import TableRun


@overload
def search(
    *,
    table: str | Path,
    encode: str | Sequence[str],
    accuracy: str,
    cost: str | Sequence[str],
    **settings: Any,
) -> TableRun: ...


@overload
def search(**settings: Any) -> Run: ...


def search(**settings: Any) -> Run | TableRun:
    """Search a space for its front: settings as of `nas.driver.search`; the finished run.

    With `table`, search a table of results: settings as of `nas.table_search.search_table`.
    """
    if settings.get("table") is not None:
        from nas.table_search import search_table

        return search_table(**settings)
    from nas.driver import search as search_space

    return search_space(**{k: v for k, v in settings.items() if k != "table"})
