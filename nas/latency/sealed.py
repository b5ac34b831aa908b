"""JSON files that say what they are, and by a checksum when they were cut or altered."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.records import write_atomic

FORMAT = 1


def write_sealed(path: str | Path, kind: str, data: dict[str, Any]) -> None:
    """Write `data` as a file of that kind, whole or not at all."""
    content = {"kind": kind, "format": FORMAT, **data}
    sealed = {**content, "checksum": checksum(content)}
    write_atomic(Path(path), json.dumps(sealed, ensure_ascii=False, allow_nan=False) + "\n")


def read_sealed(path: str | Path, kind: str) -> dict[str, Any]:
    """Read what `write_sealed` wrote; raises InputError where it is anything else."""
    content = read_document(path, kind)
    if content.pop("checksum", None) != checksum(content):
        raise InputError(f"{path}: altered since it was written: its checksum is another one")
    return content


def read_document(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a JSON object that says of which kind and format it is; raises InputError."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path}: not JSON: cut, or no {kind}; make it again") from None
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise InputError(f"{path}: expected {kind}, as nas writes it")
    if (got := content.get("format")) != FORMAT:
        raise InputError(f"{path}: this version reads format {FORMAT}, got {got!r}")
    return content


def checksum(content: dict[str, Any]) -> str:
    """Sixteen hex digits of plain data."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
