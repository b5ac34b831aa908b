"""Trials on a real cluster of this machine, which loses workers, nodes and drivers."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from conftest import QUICK, RECIPE_YAML, wait_for
from devices import HERE, table_of
from faulty import Seen, faulty  # noqa: F401 a fixture
from test_search import facts

import nas
from nas import latencies
from nas.budget import Budget
from nas.errors import ClusterError, InputError
from nas.evaluate import Rung, Task, cached_data
from nas.executors import Begun, Job, Outcome, Say
from nas.executors.execution import Execution, opened
from nas.gate import Gate
from nas.journal import Journal
from nas.latency.device import Device
from nas.loop import Loop
from nas.proxies.untrained import Untrained
from nas.records import Result, Trial, read_lines
from nas.settings import Settings
from nas.space_file import load_space

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from nas.executors.cluster import connection, jobs  # noqa: E402 where there is Ray

QUIET = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all of them
STORE = 80_000_000  # bytes, about the least that Ray takes
LATENCY = ("accuracy", "latency")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs, beside which the tests run their drivers, and a node to lose.

    Ray may not use its disk, as if that was full, where its store in memory is.
    """
    head = {"num_cpus": 0, "resources": {"edge": 1}, "object_store_memory": STORE, **QUIET}
    full = {"_system_config": {"local_fs_capacity_threshold": 0.001}}
    found = cluster_utils.Cluster(initialize_head=True, head_node_args=head | full)
    found.node = found.add_node(num_cpus=1, include_log_monitor=False)
    yield found
    found.shutdown()


def test_a_search_goes_on_wherever_it_began(cluster, cli, quick_flags, spawn, tmp_path):
    """On a Ray of its own, in processes, in series, on a cluster."""
    run = tmp_path / "run"
    own = spawn("search", *quick_flags, "--trials", 4, "--ray", "local", "--out", run, "--json")
    out, err = own.communicate()
    assert own.returncode == 0, err
    found = json.loads(out)
    assert (found["trials"], found["states"]) == (4, {"complete": 4})
    assert (run / "front.csv").exists() and (run / "front.png").exists()
    assert {path.name for path in (run / "logs").iterdir()} == {f"{n}.log" for n in range(4)}
    places = [["--workers", 2], [], ["--ray", cluster.address]]
    for total, place in enumerate(places, 5):
        again = cli("search", "--resume", run, "--trials", total, *place, "--json")
        assert (again.code, json.loads(again.out)["trials"]) == (0, total), again.err
    trials = nas.load(run).records
    assert sorted(trial.number for trial in trials) == list(range(7))
    assert len({trial.id for trial in trials}) == 7
    found = json.loads(again.out)
    assert (found["states"], found["cpus"]) == ({"complete": 7}, {trials[0].cpu: 7})


# Latencies ---------------------------------------------------------------------------------------


def hold(**resources: Any) -> Any:
    """A task that needs them for two seconds, which has begun."""

    def held() -> Iterator[str]:
        yield "begun"
        time.sleep(2)

    task = ray.remote(held).options(**resources).remote()
    ray.get(next(task))
    return task


def test_a_node_with_a_resource_times_networks(cluster):
    with opened(Execution(ray=cluster.address, latency_resource="edge"), ()) as place:
        assert place.elsewhere.device("onnxruntime", 1) == Device.here("onnxruntime", 1)
        with pytest.raises(InputError, match="backend: unknown 'abacus'"):
            place.elsewhere.calibrate(backend="abacus", threads=1)


def test_it_does_nothing_else_meanwhile(cluster):
    node = cluster.add_node(num_cpus=2, resources={"bench": 1}, include_log_monitor=False)
    with opened(Execution(ray=cluster.address, latency_resource="bench"), ()) as place:
        other = hold(num_cpus=1, resources={"bench": 0.001})
        place.elsewhere.device("onnxruntime", 1)
        assert ray.wait([other.completed()], timeout=0)[0]
        hold(num_cpus=1, resources={"bench": 0.001})
        cluster.remove_node(node, allow_graceful=False)
        with pytest.raises(ClusterError, match="bench: its node has left the cluster"):
            place.elsewhere.device("onnxruntime", 1)


def test_a_front_of_estimates_is_measured_on_the_node(cluster, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(latencies, "measure", None)  # nothing is measured in this process
    table = tmp_path / "table.json"
    table_of(HERE).save(table)
    execution = Execution(ray=cluster.address, latency_resource="edge")
    settings = {"objectives": LATENCY, "latency_table": table, "trials": 2}
    run = quick(tmp_path / "run", **settings, execution=execution)
    assert [trial.latency["source"] for trial in run.records] == ["estimated"] * 2
    assert set(run.front["latency_source"]) == {"measured"}
    final = [line["latency"] for line in read_lines(run.path / "final.jsonl")]
    assert {latency["cpu"] for latency in final} == {HERE.cpu}


# Faults ------------------------------------------------------------------------------------------


def lose_node(cluster: Any, hang: Path, search: Future[nas.Run]) -> None:
    """Once a worker hangs, another node comes, and the one that the worker is on is lost."""
    while hang.exists() and not search.done():
        time.sleep(0.05)
    lost, cluster.node = cluster.node, cluster.add_node(num_cpus=1, include_log_monitor=False)
    cluster.remove_node(lost, allow_graceful=False)


def test_lost_workers_and_nodes_change_no_result(cluster, quick, faulty, tmp_path):
    """The block is nowhere that workers import from but where Ray has unpacked it."""
    settings = {**faulty, "recipe": replace(QUICK["recipe"], epochs=2), "rungs": (1,)}
    for fault in ("kill", "hang"):
        (tmp_path / fault).touch()
    seen, execution = Seen(), Execution(ray=cluster.address)
    with ThreadPoolExecutor(1) as pool:
        shown = {"progress": seen, "execution": execution}
        search = pool.submit(quick, tmp_path / "run", **settings, **shown)
        lose_node(cluster, tmp_path / "hang", search)
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


class Hiding(Seen):
    """Takes a folder away from where workers could look for it, once trials begin."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.wanted = folder

    def begin(self, trial: Trial, epochs: int) -> None:
        if self.wanted.exists():
            self.wanted.rename(self.wanted.with_name("hidden"))


def test_a_shared_network_travels_by_the_store(cluster, quick, faulty, tmp_path):
    """To workers, of which one is killed, and to a node that comes when another one is lost."""
    run = quick(tmp_path / "run", **faulty, proxy="shared", proxy_time=0.1, trials=1)
    alone = Path(shutil.copytree(run.path, tmp_path / "alone"))
    for fault in ("kill", "hang"):
        (tmp_path / fault).touch()
    seen, execution = Hiding(run.path / "shared"), Execution(ray=cluster.address)
    with ThreadPoolExecutor(1) as pool:
        shown = {"progress": seen, "execution": execution}
        search = pool.submit(nas.resume, run.path, trials=4, **shown)
        lose_node(cluster, tmp_path / "hang", search)
        run = search.result()
    assert not seen.wanted.exists()
    assert sorted(trial.retries for trial in run.records) == [0, 0, 0, 2]
    assert sorted(facts(run)) == sorted(facts(nas.resume(alone, trials=4)))


def test_untrained_networks_are_scored_alike_on_a_cluster(cluster, quick, tmp_path):
    """To the bit, and held against the same random networks."""
    settings = {"proxy": "zero-cost", "sampler": "random"}
    alone = quick(tmp_path / "alone", **settings)
    run = quick(tmp_path / "run", **settings, execution=Execution(ray=cluster.address))
    assert run.info["task"] == alone.info["task"]
    assert sorted(facts(run)) == sorted(facts(alone))
    assert {path.name for path in (run.path / "logs").iterdir()} == {f"{n}.log" for n in range(4)}


def test_only_what_is_trained_asks_for_a_gpu(cluster, tmp_path):
    """Of a node that says it has one, as Ray believes it."""

    def asked(job: Job, say: Say) -> Outcome:
        given = ray.get_runtime_context().get_assigned_resources()
        return Outcome(job.number, error=json.dumps(given))

    node = cluster.add_node(num_cpus=2, num_gpus=1, include_log_monitor=False)
    settings = Settings(device="cuda", proxy="zero-cost")
    execution = Execution(ray=cluster.address).suited(settings)
    data = cached_data("digits", None)
    trained = Task("digits", None, data.id, settings.recipe, device="cuda")
    scored = replace(trained, untrained=Untrained("naswot", 0.0, 1.0, 2))
    job = Job(0, load_space("tiny").minimise(lambda c: c.cost.macs).arch, scored, 0, 1)
    with opened(execution, ()) as place:
        assert place.make(trained, data, tmp_path, lambda *_: None).slots == 1
        executor = jobs.RayJobs(execution, scored, data, tmp_path, lambda *_: None, asked)
        assert executor.slots == 3
        found = []
        for each in (job, replace(job, number=1, task=trained)):
            executor.submit(each)
            found.append(json.loads(executor.next().error))
    cluster.remove_node(node)
    assert found == [{"CPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}]


def test_a_sweep_whose_driver_is_killed_goes_on_in_series(cluster, spawn, faulty, tmp_path):
    """Ray ends what its driver has left behind, here a training that hangs."""
    run = tmp_path / "run"
    trials, hang = run / "trials.jsonl", tmp_path / "hang"
    (tmp_path / "recipe.yaml").write_text(RECIPE_YAML)
    flags = ["--space", faulty["space"], "--blocks", "faulty_block", "--sampler", "random"]
    flags += ["--objectives", "accuracy,macs", "--recipe", tmp_path / "recipe.yaml", "--quiet"]
    process = spawn("search", *flags, "--ray", cluster.address, "--out", run)
    wait_for(lambda: trials.exists() and trials.read_text().count("\n") >= 2, process)
    hang.touch()
    wait_for(lambda: not hang.exists(), process)
    session = Path(cluster.head_node.get_session_dir_path()).name
    (left,) = working(session)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = trials.read_text()
    while left in working(session):
        time.sleep(0.05)
    total = before.count("\n") + 2
    found = nas.resume(run, trials=total)
    assert trials.read_text().startswith(before)
    assert sorted(trial.number for trial in found.records) == list(range(total))
    assert len({trial.id for trial in found.records}) == total


def test_a_head_that_is_lost_ends_a_sweep(spawn, quick_flags, tmp_path, monkeypatch):
    """A third of the time before Ray itself would end the driver, without a word."""
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "18")
    head = {"num_cpus": 1, **QUIET}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    run = tmp_path / "run"
    trials = run / "trials.jsonl"
    address = cluster.address  # which it forgets when it is shut down
    flags = ["--ray", address, "--trials", 5000, "--out", run, "--quiet"]
    process = spawn("search", *quick_flags, *flags)
    wait_for(lambda: trials.exists() and trials.read_text().count("\n") >= 2, process)
    cluster.head_node.all_processes["gcs_server"][0].process.kill()
    _, err = process.communicate()
    cluster.shutdown()
    assert process.returncode == 1
    assert f"the head of the Ray cluster, {address}, has not answered for 6 s" in err
    assert f"all finished trials are kept; go on with: nas search --resume {run}" in err
    total = trials.read_text().count("\n") + 1
    found = nas.resume(run, trials=total)
    assert sorted(trial.number for trial in found.records) == list(range(total))


def test_a_training_that_hangs_is_tried_thrice_and_the_sweep_goes_on(cluster, tmp_path):
    def hang(job: Job, say: Say) -> Outcome:
        say(Begun())
        if job.number == 1:
            time.sleep(600)
        return Outcome(job.number, Rung(Result(0.5, 1.0, 100, (1.0,), ((3, 0.5),), 0.0), None))

    execution = Execution(ray=cluster.address, trial_timeout=1, max_concurrent=1)
    settings = Settings(trials=3, sampler="random", objectives=("accuracy", "macs"))
    gate = Gate(load_space("tiny").bind(classes=10), Budget(), None, lambda *_: None)
    data, journal, seen = cached_data("digits", None), Journal(tmp_path), Seen()
    task = Task("digits", None, data.id, settings.recipe)
    with opened(execution, ()):
        executor = jobs.RayJobs(execution, task, data, tmp_path / "logs", seen.epoch, hang)
        with contextlib.closing(executor):
            Loop(journal, settings, task, gate, executor, seen).run()
    late = "it ran for more than 1 s"
    assert [(trial.number, trial.state, trial.error) for trial in journal.trials] == [
        (0, "complete", None),
        (1, "failed", f"{late}; 3 attempts"),
        (2, "complete", None),
    ]
    assert seen.said == [f"trial 1 begins again: {late}"] * 2


def test_a_search_waits_for_a_node_that_a_person_has_promised(cluster, quick, tmp_path, caplog):
    execution = Execution(ray=cluster.address, cpus_per_trial=2, max_concurrent=2)
    with ThreadPoolExecutor(1) as pool:
        search = pool.submit(quick, tmp_path / "run", trials=2, execution=execution)
        while not caplog.messages and not search.done():
            time.sleep(0.05)
        node = cluster.add_node(num_cpus=2, include_log_monitor=False)
        assert len(search.result().records) == 2
    cluster.remove_node(node)
    (said,) = caplog.messages
    assert said.startswith("waiting for a node with 2 CPUs and 0 GPUs; the nodes have ")


def test_another_version_of_torch_is_told_once(cluster, quick, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "torch_version", lambda: "1.0.0")  # of this process alone
    quick(tmp_path / "run", trials=2, execution=Execution(ray=cluster.address))
    (said,) = caplog.messages
    assert said.startswith("a node has torch 2") and "this one 1.0.0" in said


def test_a_store_that_is_full(cluster, tmp_path):
    data = cached_data("digits", None)
    task = Task("digits", None, data.id, QUICK["recipe"])
    result = Result(0.5, 1.0, 100, (1.0,), ((1, 0.5),), 0.0)
    job = Job(0, load_space("tiny").minimise(lambda c: c.cost.macs).arch, task, 0, 2)
    execution = Execution(ray=cluster.address)
    with opened(execution, ()):
        executor = jobs.RayJobs(execution, task, data, tmp_path, lambda *_: None)
        with pytest.raises(ClusterError, match="Ray's object store is full") as found:
            executor.submit(replace(job, before=Rung(result, bytes(2 * STORE))))
    assert "\n" not in str(found.value)


def test_processors_of_several_kinds_are_told_of(finished, cli, tmp_path):
    run = Path(shutil.copytree(finished.path, tmp_path / "run"))
    (cpu,) = finished.cpus
    lines = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    other = [line.replace(json.dumps(cpu), '"Phone"') for line in lines[:3]]
    (run / "trials.jsonl").write_text("".join([*other, *lines[3:]]))
    told = f"Trials were trained on 2 kinds of processor: 5 on {cpu}, 3 on Phone\n"
    assert told in cli("search", "--resume", run).out
    assert told not in cli("search", "--resume", finished.path).out


# What is wrong with a cluster is told before anything is written ---------------------------------


def test_an_address_where_nothing_listens(quick, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match=f"--ray {address}: nothing listens there"):
        quick(tmp_path / "run", execution=Execution(ray=address))
    assert not (tmp_path / "run").exists()


def answer(server: socket.socket, says: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(says)


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["none", "http"])
def test_an_address_of_something_else(says, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        if says:
            Thread(target=answer, args=(server, says)).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="what listens there is no head of a Ray cluster"):
            quick(tmp_path / "run", execution=Execution(ray=address))


def test_a_machine_that_is_no_node(cluster, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "PROCESSES", tmp_path)
    with pytest.raises(InputError, match="expected a node of the cluster on this machine"):
        quick(tmp_path / "run", execution=Execution(ray=cluster.address))


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1:port", "host:"])
def test_addresses_of_another_form(address, quick, tmp_path):
    with pytest.raises(InputError, match="expected auto, local or the host:port of a cluster"):
        quick(tmp_path / "run", execution=Execution(ray=address))


def test_no_cluster_on_this_machine(cluster, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(ray._private.services, "find_gcs_addresses", cache(set))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where it writes down what it has begun
    with pytest.raises(InputError, match="--ray auto: no cluster answers"):
        quick(tmp_path / "run", execution=Execution(ray="auto"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"cpus_per_trial": 64},
            r"expected a node with 64 CPUs and 0 GPUs; the nodes have .*\b0 CPUs and 0 GPUs",
        ),
        ({"gpus_per_trial": 0.5}, "expected a node with 1 CPUs and 0.5 GPUs; the nodes have"),
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


def working(session: str) -> list[Path]:
    """Those that do a job."""
    found = processes(session)
    return [p for p in found if text_of(p / "cmdline").startswith("ray::run")]


def processes(session: str) -> list[Path]:
    """Those that have the session in their command line, and their children, which Ray renames."""
    found = [p for p in Path("/proc").glob("[0-9]*") if session in text_of(p / "cmdline")]
    children = [text_of(p / "task" / p.name / "children").split() for p in found]
    return [*found, *(Path("/proc") / child for some in children for child in some)]


def text_of(path: Path) -> str:
    """A file of a process, empty where that has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_cluster_that_is_started_here_listens_on_loopback_only():
    with opened(Execution(ray="local"), ()):
        session = ray._private.worker._global_node.get_session_dir_path()
        found = listening(Path(session).name)
    assert found and all(address.endswith("0100007F") for address in found)  # 127.0.0.1
    assert not ray.is_initialized()
    with pytest.raises(InputError, match="expected a process that has had no --ray local"):
        opened(Execution(ray="auto"), ()).__enter__()
