"""The bundle for another device: what it holds, its script, and what comes back from there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from conftest import wait_for
from devices import PHONE, device_ms

import nas
from nas.errors import InputError
from nas.latency import DeviceTable
from nas.latency.bundle import import_table, without_weights, write_bundle
from nas.latency.measurements import read_measurements
from nas.latency.sample import sample_networks
from nas.onnx_model import to_onnx
from nas.reference import load

COUNT = 8


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    write_bundle(folder, networks=COUNT)
    return folder


# What it holds -----------------------------------------------------------------------------------


def test_a_bundle_is_small_and_whole(bundle):
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    networks = {f"networks/{i:03}.onnx" for i in range(COUNT)}
    assert names == networks | {"measure.py", "bundle.json", "reference.onnx"}
    assert all(path.stat().st_size < 200_000 for path in bundle.rglob("*.onnx"))
    listed = json.loads((bundle / "bundle.json").read_text())
    archs = [nas.Architecture.from_dict(arch) for arch in listed["networks"]]
    assert archs == sample_networks(COUNT)


def test_an_existing_folder_is_left_alone(bundle):
    with pytest.raises(InputError, match="exists; name another --out"):
        write_bundle(bundle)


def optimised(model: onnx.ModelProto, path) -> tuple[ort.InferenceSession, Counter]:
    """A session, and the operators that it runs."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session, Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v1_g3_x0_5", "ghostnet_x0_5"])
def test_without_weights_the_same_kernels_run_in_range(name, tmp_path):
    graph = load(name)
    light = without_weights(to_onnx(graph))
    onnx.checker.check_model(light)
    session, operators = optimised(light, tmp_path / "light.onnx")
    assert operators == optimised(to_onnx(graph), tmp_path / "full.onnx")[1]
    image = np.random.default_rng(0).standard_normal((1, *graph.input), dtype=np.float32)
    (scores,) = session.run(None, {"image": image})
    assert np.isfinite(scores).all() and 1e-20 < abs(scores).max() < 1e6


# The script on the device ------------------------------------------------------------------------

ALONE = """
import runpy, sys
for name in ("nas", "onnx", "torch", "scipy", "pandas"):
    sys.modules[name] = None  # so that importing it fails
sys.argv = ["measure.py", "--name", "Phone"]
runpy.run_path("measure.py", run_name="__main__")
"""
start = partial(
    subprocess.Popen,
    [sys.executable, "-c", ALONE],
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
)


def test_the_script_needs_onnxruntime_and_numpy_only_and_goes_on_where_it_was_stopped(
    bundle, tmp_path
):
    log = bundle / "measurements.jsonl"
    with start(cwd=bundle) as process:
        wait_for(lambda: log.exists() and log.read_text().count("\n") > 3, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "start again to go on" in err and "Traceback" not in err
    before = log.read_text()
    with log.open("a") as file:
        file.write('{"network": 7, "ro')  # as a power cut leaves it
    with start(cwd=bundle) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "8 networks on Phone, rounds differ by ±" in out
    assert "round 3 of 3, network 8 of 8" in err
    assert log.read_text().startswith(before)

    found = read_measurements(bundle / "measurements.json")
    assert found.device == PHONE and found.reference_ms > 0
    assert [len(rounds) for rounds in found.ms] == [3] * COUNT
    assert found.versions["onnxruntime"] == ort.__version__
    table = import_table(bundle / "measurements.json", tmp_path / "phone.json")
    assert DeviceTable.load(tmp_path / "phone.json").device == table.device == PHONE
    ms = dict(found.medians)
    estimates = {arch: table.latency(nas.trace(arch)).latency_ms for arch in ms}
    assert min(ms, key=ms.__getitem__) == min(estimates, key=estimates.__getitem__)


# What comes back ---------------------------------------------------------------------------------


def measurements() -> dict:
    archs = sample_networks(COUNT)
    return {
        "kind": "latency measurements",
        "format": 1,
        **PHONE.to_dict(),
        "reference_ms": 1.5,
        "versions": {"onnxruntime": "1"},
        "networks": [{"arch": a.to_dict(), "ms": [device_ms(nas.trace(a))] * 2} for a in archs],
    }


@pytest.fixture
def sent(tmp_path):
    """The path of measurements.json, written with a change."""

    def write(change):
        data = measurements()
        change(data)
        (tmp_path / "measurements.json").write_text(json.dumps(data))
        return tmp_path / "measurements.json"

    return write


def test_measurements_make_a_table(sent, cli):
    found = cli("latency", "import", sent(lambda data: None), "--out", "phone.json", "--json")
    assert found.code == 0 and found.err == ""
    assert json.loads(found.out) == {
        "table": "phone.json",
        **PHONE.to_dict(),
        "reference_ms": 1.5,
        "networks": COUNT,
        "kinds": len(DeviceTable.load("phone.json").estimator.rates.kinds),
    }


def times(data, value):
    data["networks"][3]["ms"] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: times(d, [1.0, 0]), "networks.3.ms: expected milliseconds above zero, got 0"),
        (lambda d: times(d, [-2.5]), "networks.3.ms: expected milliseconds above zero, got -2.5"),
        (lambda d: times(d, []), "networks.3.ms: expected the times of its rounds, got []"),
        (lambda d: times(d, None), "networks.3.ms: expected the times of its rounds, got None"),
        (lambda d: times(d, ["1"]), "networks.3.ms: expected milliseconds, got '1'"),
        (lambda d: times(d, [float("nan")]), "networks.3.ms: expected milliseconds above zero"),
        (lambda d: d["networks"][3].pop("ms"), "networks.3.ms: expected the times"),
        (lambda d: d["networks"][3].pop("arch"), "networks.3: expected an arch and its ms"),
        (lambda d: d["networks"][3]["arch"].pop("stem"), "networks.3.arch: stem is missing"),
        (lambda d: d.pop("reference_ms"), "reference_ms: expected milliseconds, got None"),
        (lambda d: d.pop("networks"), "networks: expected a list, got None"),
        (lambda d: d.update(networks=d["networks"][:5]), "expected 8 networks or more, got 5"),
        (lambda d: d.update(threads="1"), "threads: expected int, got '1'"),
        (lambda d: d.pop("cpu"), "cpu: expected str, got None"),
        (
            lambda d: d.update(kind="device table"),
            "expected latency measurements, as nas writes it",
        ),
    ],
    ids=[
        *("zero", "negative", "none", "null", "text", "nan", "missing", "no-arch", "bad-arch"),
        *("no-reference", "no-networks", "few", "threads", "no-cpu", "kind"),
    ],
)
def test_bad_measurements_are_refused(change, message, sent, cli):
    found = cli("latency", "import", sent(change), "--out", "phone.json")
    assert found.code == 2 and message in found.err and found.err.count("\n") == 1
    assert not Path("phone.json").exists()


def test_a_file_that_was_cut(sent, cli):
    path = sent(lambda data: None)
    path.write_text(path.read_text()[:-50])
    found = cli("latency", "import", path, "--out", "phone.json")
    assert found.code == 2 and "not JSON" in found.err


def test_nas_latency_bundle(cli):
    found = cli("latency", "bundle", "--out", "bundle", "--networks", COUNT)
    assert found.code == 0 and "python measure.py" in found.out
    assert json.loads(cli("latency", "bundle", "--out", "b2", "--networks", 8, "--json").out) == {
        "bundle": "b2",
        "networks": COUNT,
    }
