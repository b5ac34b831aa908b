"""The notebooks run from top to bottom; `python tests/test_notebooks.py` writes their outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# Of tqdm, which Optuna imports: no progress bar is drawn here.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"


def executed(path: Path) -> NotebookNode:
    """The notebook with the outputs of a kernel that imports this tree."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, record_timing=False, resources={"metadata": {"path": str(FOLDER)}}
    )
    known = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    client.execute(env=os.environ | {"PYTHONPATH": os.pathsep.join(known)})
    return notebook


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [out for cell in notebook.cells for out in cell.get("outputs", ())]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # of the packages that talk to the kernel
def test_a_notebook_runs_and_says_nothing_on_stderr(path):
    assert not [out for out in outputs(executed(path)) if out.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_is_whole_and_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    found = outputs(notebook)
    assert any("image/png" in out.get("data", {}) for out in found)
    assert {out.get("name") for out in found} <= {None, "stdout"}
    assert not any(cell.metadata for cell in notebook.cells)
    assert "/home/" not in path.read_text() and "/root/" not in path.read_text()
    assert not any(word in cell.source for cell in cells for word in ("def ", "class ", "lambda"))


if __name__ == "__main__":
    for path in NOTEBOOKS:
        nbformat.write(executed(path), path)
