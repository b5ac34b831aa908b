"""The report in a headless Chromium; skipped where there is none: apt install chromium-driver."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.records import BASELINES, TRIALS, append_line, write_atomic, write_json
from nas.report import render, report_data

webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromedriver: apt install chromium chromium-driver",
)

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SAFE = {*string.ascii_letters, *string.digits, *"./-_"}
NASTY = '<b onclick="alert(1)">it\'s</b>'


@pytest.fixture(scope="module")
def page(finished: nas.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs; one has a nasty name, latencies and a published network."""
    folder = tmp_path_factory.mktemp("report")
    second = folder / NASTY.replace("/", "∕")
    shutil.copytree(finished.path, second)
    settings = finished.info["settings"] | {"data": NASTY, "objectives": ["accuracy", "latency"]}
    write_json(second / "run.json", finished.info | {"settings": settings})
    timed = [replace(t, latency=latency(n)) for n, t in enumerate(finished.records, 1)]
    write_atomic(second / TRIALS, "".join(trial.to_json() + "\n" for trial in timed))
    published = max(timed, key=lambda trial: trial.value("accuracy"))  # in sight
    append_line(second / BASELINES, replace(published, number=-1, name=NASTY).to_json())
    runs = [nas.load(second), finished]
    (folder / "report.html").write_text(render(report_data(runs)))
    return folder / "report.html"


def latency(n: int) -> dict[str, Any]:
    device = {"cpu": NASTY, "backend": "onnxruntime", "threads": 1, "noisy": False}
    return {"latency_ms": n, "low": 0.9 * n, "high": 1.2 * n, **device}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all tests of this file."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.implicitly_wait(5)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Any, page: Path) -> Iterator[Any]:
    """The page, freshly loaded at a desktop's width; the console must stay empty."""
    chromium.set_window_size(1400, 1000)
    chromium.get(page.as_uri())
    all_of(chromium, "#plot .scatterlayer .trace")
    yield chromium
    assert chromium.get_log("browser") == []


@pytest.fixture(scope="module")
def best(finished: nas.Run) -> int:
    """A trial that is in sight: the most accurate one."""
    return int(finished.front.iloc[-1]["number"])


def all_of(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def one(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def texts(browser: Any, selector: str) -> list[str]:
    return [element.text for element in all_of(browser, selector)]


def points(browser: Any) -> list[Any]:
    """The trials of the first run, of the others, then the published networks."""
    return all_of(browser, "#plot .scatterlayer .points path")


def pick_row(browser: Any, place: int) -> str:
    """Click a row of the table; its network's name."""
    cell = all_of(browser, "#networks tbody tr")[place].find_element("css selector", "td")
    cell.click()
    return str(cell.text)


def test_it_loads_without_a_network_and_shows_every_point(browser):
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert len(points(browser)) == 9
    assert len(all_of(browser, "#networks tbody tr")) == 17
    assert browser.title.endswith("nas report")


def test_nothing_of_a_file_becomes_an_element(browser):
    assert browser.execute_script("return document.querySelectorAll('[onclick]').length") == 0
    assert NASTY in one(browser, "#trust").text
    assert NASTY in " ".join(texts(browser, "#networks td.text"))
    assert NASTY in one(browser, "#plot .textpoint").text


def test_hovering_tells_of_a_network(browser, best):
    point = points(browser)[best]
    webdriver.ActionChains(browser).move_to_element(point).perform()
    tip = one(browser, "#tip")
    assert tip.is_displayed()
    for part in (f":{best}", "accuracy", " to ", "macs", "truly on the front"):
        assert part in tip.text
    webdriver.ActionChains(browser).move_to_element(one(browser, "h1")).perform()
    assert not tip.is_displayed()


def test_a_click_shows_diagram_yaml_and_commands(browser, finished, best):
    point = points(browser)[best]
    webdriver.ActionChains(browser).move_to_element(point).click().perform()
    assert one(browser, "#detail h2").text.endswith(f":{best}")
    assert len(all_of(browser, "#detail .stages tbody tr")) == 5
    assert len(all_of(browser, "#detail .strip rect")) >= 4
    one(browser, "#detail summary").click()
    assert one(browser, "#detail .yaml").text == finished.architecture(best).to_yaml().strip()
    train, export = texts(browser, "#detail .command")
    assert train.startswith("nas train ") and f":{best}' --out trained/" in train
    folder = train.rpartition(" ")[2]
    assert folder.endswith(f"-{best}") and set(folder) <= SAFE
    assert export == f"nas export {folder} --format onnx --out net.onnx"
    assert one(browser, "tr.selected td").text == one(browser, "#detail h2").text


def test_a_row_of_the_table_is_the_same_as_its_point(browser):
    name = pick_row(browser, 5)
    assert one(browser, "#detail h2").text == name


def test_columns_sort_in_both_orders(browser):
    def numbers() -> list[float]:
        return [float(text.split(" ")[0]) for text in texts(browser, "#networks td:nth-child(3)")]

    assert numbers() == sorted(numbers(), reverse=True)
    all_of(browser, "#networks thead button")[2].click()
    assert numbers() == sorted(numbers())
    assert one(browser, "th[aria-sort=ascending]").text.startswith("accuracy")


def test_families_runs_and_budgets_filter(browser):
    families = texts(browser, "#families .chip")
    one(browser, "#families .chip").click()
    left = texts(browser, "#networks td:nth-child(2)")
    assert left and families[0] not in left and set(left) <= set(families)
    one(browser, "#families .chip").click()
    one(browser, "#runs .chip").click()
    assert len(all_of(browser, "#networks tbody tr")) == 8
    slider = one(browser, "#limits input[aria-label='largest macs']")
    slider.send_keys(webdriver.Keys.HOME)
    assert len(all_of(browser, "#networks tbody tr")) == 1


def test_axes_can_be_chosen(browser):
    for axis, metric in (("x", "params"), ("y", "macs")):
        one(browser, f"#{axis} option[value={metric}]").click()
    titles = texts(browser, "#plot .xtitle, #plot .ytitle")
    assert sorted(titles) == ["multiply–accumulates", "parameters"]
    assert len(points(browser)) == 17


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_width_needs_scrolling_sideways(width, browser):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    pick_row(browser, 0)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_readers_scheme(scheme, browser):
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    shade = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    red = int(json.loads(shade.replace("rgb(", "[").replace(")", "]"))[0])
    assert (red < 60) == (scheme == "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
