"""The page: a template, styles, scripts and data in one file.

Nothing from a file gets into it unescaped. Data are JSON without the characters that could end a
script, and the page's own scripts set text, never HTML. A content security policy allows the
scripts below by their hashes and no network at all, so that a browser would refuse anything else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

FOLDER = Path(__file__).parent
LIBRARY = "vendor/plotly-basic.min.js"
SCRIPTS = ("format", "state", "chart", "detail", "table", "main")  # one after the other
UNSAFE = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def render(data: Mapping[str, Any]) -> str:
    """The whole page of what `nas.report.data.report_data` found."""
    own = "\n".join(_read(f"assets/{name}.js") for name in SCRIPTS)
    scripts = [_read(LIBRARY), f"(() => {{\n{own}}})();"]
    return Template(_read("assets/page.html")).substitute(
        title=html.escape(data["title"]),
        policy=html.escape(_policy(scripts)),
        styles=_read("assets/page.css"),
        data=json_in_html(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def json_in_html(data: Any) -> str:
    """JSON that may stand in a script element, whatever its texts hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(UNSAFE)


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # The plotting library sets styles of elements, and draws its pictures as data.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
