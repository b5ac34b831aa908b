"""What the README shows runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def code(language: str, containing: str) -> str:
    return next(text for kind, text in BLOCKS if kind == language and containing in text)


def run(*command: str, cwd: Path) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_search_from_python(tmp_path: Path) -> None:
    out = run("-c", code("python", "nas.search(") + "\nprint(type(model))", cwd=tmp_path)
    assert "latency_ms" in out
    assert "GraphModule" in out


def test_a_space_and_a_block_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(code("yaml", "# plain.yaml"))
    (tmp_path / "my_blocks.py").write_text(code("python", "# my_blocks.py"))
    check = re.search(r'python -c "(.*check_block.*)"', README)
    assert check is not None
    run("-c", check[1], cwd=tmp_path)

    search = re.search(r"nas-search (--space plain.yaml .*)", README)
    assert search is not None
    quick = ["--trials", "2", "--epochs", "1", "--objectives", "accuracy,macs", "--out", "run"]
    run("-m", "nas.cli", "search", *search[1].split(), *quick, cwd=tmp_path)
    assert len((tmp_path / "run" / "trials.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([\w./]+)\)", README))))
def test_links_lead_somewhere(name: str) -> None:
    assert (ROOT / name).exists()


def test_paths_of_the_table_exist() -> None:
    table = README[README.index("## Where things are") :]
    for cell in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE):
        for name in re.findall(r"`([\w./]+)`", cell):
            assert (ROOT / name).exists() or (ROOT / "nas" / name).exists(), name
