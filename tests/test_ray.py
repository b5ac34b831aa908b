"""Trials on a real cluster of this machine, which loses workers, nodes and drivers."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import QUICK, wait_for
from faulty import Seen, faulty  # noqa: F401 a fixture
from test_search import facts

import nas
from nas.errors import InputError
from nas.executors.execution import Execution, opened
from nas.latency.device import Device

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs, beside which the tests run their drivers, and a node to lose."""
    head = {"num_cpus": 0, "include_dashboard": False, "resources": {"edge": 1}}
    found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    found.first = found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def test_lost_workers_and_nodes_change_no_result(cluster, quick, faulty, tmp_path):
    """The block is nowhere that workers import from but where Ray has unpacked it."""
    settings = {**faulty, "recipe": replace(QUICK["recipe"], epochs=2), "rungs": (1,)}
    for fault in ("kill", "hang"):
        (tmp_path / fault).touch()
    seen, execution = Seen(), Execution(ray=cluster.address)
    with ThreadPoolExecutor(1) as pool:
        shown = {"progress": seen, "execution": execution}
        search = pool.submit(quick, tmp_path / "run", **settings, **shown)
        while (tmp_path / "hang").exists() and not search.done():
            time.sleep(0.05)
        cluster.add_node(num_cpus=1)  # which goes on with the trial
        cluster.remove_node(cluster.first, allow_graceful=False)
        run = search.result()
    alone = quick(tmp_path / "alone", **settings)
    assert sorted(facts(run)) == sorted(facts(alone))
    assert sorted(trial.retries for trial in run.records) == [0, 0, 0, 2]
    assert {trial.cpu for trial in run.records} == {alone.records[0].cpu}
    assert [text.partition(": ")[2] for text in seen.said] == [
        "its worker died",
        "its node was lost",
    ]
    assert {(number, epoch) for number in range(4) for epoch in (0, 1)} == set(seen.epochs)
    logs = {path.name: path.read_text() for path in (run.path / "logs").iterdir()}
    assert logs.keys() == {f"{number}.log" for number in range(4)}
    assert "trial 3: epoch 2, loss " in logs["3.log"]
    assert "its node was lost" in "".join(logs.values())


def test_a_sweep_whose_driver_is_killed_goes_on_in_series(cluster, spawn, quick_flags, tmp_path):
    run = tmp_path / "run"
    trials = run / "trials.jsonl"
    flags = ["--ray", cluster.address, "--trials", 500, "--out", run, "--quiet"]
    process = spawn("search", *quick_flags, *flags)
    wait_for(lambda: trials.exists() and trials.read_text().count("\n") >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = trials.read_text()
    total = before.count("\n") + 2
    found = nas.resume(run, trials=total)
    assert trials.read_text().startswith(before)
    assert sorted(trial.number for trial in found.records) == list(range(total))
    assert len({trial.id for trial in found.records}) == total


# What is wrong with a cluster is told before anything is written ---------------------------------


def test_an_address_where_nothing_listens(quick, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match=f"--ray {address}: nothing listens there"):
        quick(tmp_path / "run", execution=Execution(ray=address))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1:port", "host:"])
def test_addresses_of_another_form(address, quick, tmp_path):
    with pytest.raises(InputError, match="expected auto, local or the host:port of a cluster"):
        quick(tmp_path / "run", execution=Execution(ray=address))


def test_no_cluster_on_this_machine(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(ray._private.services, "find_gcs_addresses", cache(set))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where it writes down what it has begun
    with pytest.raises(InputError, match="--ray auto: no cluster answers"):
        quick(tmp_path / "run", execution=Execution(ray="auto"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"cpus_per_trial": 64}, "no node has the 64 CPUs and 0 GPUs of a trial; the nodes have"),
        ({"gpus_per_trial": 0.5}, "no node has the 1 CPUs and 0.5 GPUs of a trial"),
        ({"latency_resource": "phone"}, "--latency-resource phone: no node of the cluster"),
    ],
    ids=["cpus", "gpus", "resource"],
)
def test_what_no_node_has(flags, message, cluster, quick, tmp_path):
    with pytest.raises(InputError, match=message):
        quick(tmp_path / "run", execution=Execution(ray=cluster.address, **flags))
    assert not (tmp_path / "run").exists()


def test_another_version_of_ray(cluster, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with pytest.raises(InputError, match="Version mismatch: The cluster was started with") as found:
        quick(tmp_path / "run", execution=Execution(ray=cluster.address))
    assert "\n" not in str(found.value)


# What listens ------------------------------------------------------------------------------------


def listening(session: str) -> set[str]:
    """The addresses, as the kernel has them, on which the processes of a Ray session listen."""
    sockets = set()
    for process in processes(session):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                sockets.add(str(descriptor.readlink()))
    tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {r[1].split(":")[0] for r in rows if r[3] == "0A" and f"socket:[{r[9]}]" in sockets}


def processes(session: str) -> list[Path]:
    """Those that have the session in their command line, and their children, which Ray renames."""
    found = [p for p in Path("/proc").glob("[0-9]*") if session in (p / "cmdline").read_text()]
    children = [(p / "task" / p.name / "children").read_text().split() for p in found]
    return [*found, *(Path("/proc") / child for some in children for child in some)]


def test_a_cluster_that_is_started_here_listens_on_loopback_only():
    with opened(Execution(ray="local"), ()):
        session = ray._private.worker._global_node.get_session_dir_path()
        found = listening(Path(session).name)
    assert found and all(address.endswith("0100007F") for address in found)  # 127.0.0.1
    assert not ray.is_initialized()


def test_a_node_with_a_resource_times_networks(cluster):
    with opened(Execution(ray=cluster.address, latency_resource="edge"), ()) as place:
        assert place.elsewhere.device("onnxruntime", 1) == Device.here("onnxruntime", 1)
        with pytest.raises(InputError, match="backend: unknown 'abacus'"):
            place.elsewhere.calibrate(backend="abacus", threads=1)
