"""A diagram as a table: a line a block, equal ones in a row as one."""

from __future__ import annotations

from itertools import groupby

from nas.diagram.layout import Diagram, Part
from nas.layers import Shape
from nas.metrics import METRICS
from nas.show import make_table, print_table

BAR = 16  # characters of the largest share


def print_diagram(diagram: Diagram) -> None:
    """Stages, blocks, shapes, parameters and multiply–accumulates, these with a bar."""
    counts = (f"{diagram.cost.params:,} params", f"{diagram.cost.macs:,} macs")
    print(f"{diagram.name}: {shape_text(diagram.input)} → {', '.join(counts)}")
    table = make_table("", "stage", "block", "settings", "output", "params", "macs", "", text=4)
    table.columns[-1].justify = "left"
    runs = [list(run) for run in _runs(diagram.parts)]
    largest = max(len(run) * run[0].macs for run in runs) or 1
    for stage, group in groupby(runs, key=lambda run: run[0].stage):
        for i, run in enumerate(group):
            table.add_row(stage if i == 0 else "", *_cells(run, largest))
    print_table(table)


def _runs(parts: tuple[Part, ...]) -> list[list[Part]]:
    found: list[list[Part]] = []
    for part in parts:
        if found and part.alike(found[-1][-1]):
            found[-1].append(part)
        else:
            found.append([part])
    return found


def _cells(run: list[Part], largest: int) -> tuple[str, ...]:
    part, times = run[0], f" × {len(run)}" if len(run) > 1 else ""
    macs, params = len(run) * part.macs, len(run) * part.params
    bar = "█" * round(BAR * macs / largest) or ("▏" if macs else "")
    settings = ", ".join(f"{key} {_number(value)}" for key, value in part.settings.items())
    numbers = (METRICS[name].format(v) for name, v in (("params", params), ("macs", macs)))
    return (f"{part.block}{times}", settings, shape_text(part.output), *numbers, bar)


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shape_text(shape: Shape) -> str:
    """24×56×56; a vector is its length."""
    return str(shape[0]) if shape[1:] == (1, 1) else "×".join(map(str, shape))
