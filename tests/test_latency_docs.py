"""docs/latency.md: its code runs, its figures are those of the benchmarks."""

from __future__ import annotations

import csv
import re
import runpy
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from test_readme import ROOT, run

PAGE = (ROOT / "docs" / "latency.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

pytestmark = pytest.mark.usefixtures("own_lock")


def test_a_measurement_from_python(tmp_path: Path) -> None:
    latency, low, high, noisy = run("-c", CODE[0], cwd=tmp_path).split()
    assert float(low) <= float(latency) <= float(high)
    assert noisy in ("True", "False")


def test_a_back_end_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "unfused.py").write_text(CODE[1])
    command = re.search(r"nas (profile .* --blocks unfused .*)", PAGE)
    assert command is not None
    out = run("-m", "nas.cli", *command[1].split(), "--resolution", "64", cwd=tmp_path)
    assert re.search(r"network +onnxruntime +unfused", out)


def test_the_figures_of_repeating() -> None:
    benchmark = ROOT / "benchmarks" / "latency_repeat.py"
    report = runpy.run_path(str(benchmark))["report"](pd.read_csv(benchmark.with_suffix(".csv")))
    assert textwrap.indent(report, "    ") in PAGE


def test_the_table_of_back_ends() -> None:
    benchmark = ROOT / "benchmarks" / "latency_backends.py"
    with benchmark.with_suffix(".csv").open() as file:
        assert runpy.run_path(str(benchmark))["table"](csv.DictReader(file)) in PAGE
