"""What a search ranks by where that is no accuracy: of parts of a shared network, and untrained."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist

import pytest
from conftest import QUICK, RECIPE
from test_run import trial
from test_search import facts
from test_trust import brief  # noqa: F401 a fixture

import nas
from nas.budget import Budget
from nas.certainty import draw, with_intervals
from nas.confirm import candidates as to_confirm
from nas.confirm import longer
from nas.errors import InputError
from nas.evaluate import Task, cached_data, climb
from nas.executors.execution import Execution
from nas.figures import plot_chances
from nas.finale import said
from nas.graph import Tensor
from nas.pick import assess, candidates, check_comparable, pick
from nas.plot import plot_front
from nas.progress import _line
from nas.proxies.untrained import Untrained
from nas.records import CONFIRMED, TRIALS, Result, Trial, append_line
from nas.report import report_data
from nas.run import frame
from nas.scores import SCORES, in_words, side_by_side, standard_error
from nas.settings import Settings
from nas.trust import trust

PROBABILITY = "probability of the true class (geometric mean), shared network"
NASWOT = "NASWOT against random networks of the space (untrained)"
OLD = Path(__file__).parent.parent / "results" / "reference" / "searched"
STANDING = Untrained("naswot", 100.0, 10.0, 40)
OBJECTIVES = ("accuracy", "macs")


# Records ------------------------------------------------------------------------------------------


def part(
    number: int, accuracy: float, probability: float, macs: int, error: float = 0.0125
) -> Trial:
    """A trial of a part of a shared network, whose accuracy of .5 has an error of .025."""
    result = Result(accuracy, 1.0, 400, (), (), 0.1, score=probability, score_error=error)
    return replace(trial(number, accuracy, macs), result=result)


def test_a_score_is_the_accuracy_where_nothing_else_is_said():
    alone = Result(0.5, 1.0, 10, (1.0,), ((1, 0.5),), 0.0)
    assert alone.score == 0.5
    one = part(0, 0.5, 0.25, 1)
    assert (one.value("accuracy"), one.result.accuracy) == (0.25, 0.5)
    assert Trial.from_dict(json.loads(one.to_json())) == one


def test_a_score_is_as_sure_as_an_accuracy_where_nothing_else_is_said():
    line = json.loads(part(0, 0.5, 0.25, 1).to_json())
    assert Trial.from_dict(line).result.score_error == 0.0125
    del line["result"]["score_error"]  # as in runs of earlier versions
    assert Trial.from_dict(line).result.score_error == standard_error(0.25, 400)
    assert Result(0.5, 1.0, 100, (), (), 0.0).score_error == standard_error(0.5, 100) == 0.05


def test_a_score_is_as_sure_as_was_measured():
    table = frame([part(0, 0.5, 0.25, 1), part(1, 0.5, 0.2625, 2), part(2, 0.5, 0.25, 3, 0.05)])
    assert list(table["score_error"]) == [0.0125, 0.0125, 0.05]
    assert (table["accuracy_error"] == 0.025).all()
    known = with_intervals(table)
    width = (known["score_high"] - known["score_low"]) / (2 * 1.96)
    assert list(width) == pytest.approx([0.0125, 0.0125, 0.05], rel=0.02)
    ahead = draw(known, Budget(), "macs").on_front[1]
    assert ahead == pytest.approx(NormalDist().cdf(0.5**0.5), abs=0.03)


def test_lines_of_earlier_versions_are_read():
    assert "score" not in (OLD / TRIALS).read_text()
    run = nas.load(OLD)
    assert (run.trials["score"] == run.trials["accuracy"]).all()
    assert (run.trials["score_error"] == run.trials["accuracy_error"]).all()
    assert (run.proxy, run.score) == ("alone", SCORES["alone"])
    (axes,) = plot_front([run], "macs").axes
    assert axes.get_ylabel() == "validation accuracy"
    metrics = {metric["name"]: metric["word"] for metric in report_data([run])["metrics"]}
    assert metrics["accuracy"] == "accuracy" and "counted" not in metrics


@pytest.mark.parametrize(
    ("score", "accuracy", "words"),
    [
        (0.72, 0.72, "accuracy 72.00 %"),
        (0.612, 0.72, "score 61.20 % (accuracy 72.00 %)"),
        (0.612, None, "score 61.20 %"),
    ],
    ids=["alone", "shared", "untrained"],
)
def test_in_words(score, accuracy, words):
    assert in_words(score, accuracy) == words


def test_several_kinds_side_by_side():
    alone, shared = SCORES["alone"], SCORES["shared"]
    assert side_by_side([alone, alone]) == side_by_side([]) == alone
    assert side_by_side([alone, shared]).label == f"{alone.label} / {shared.label}"


# Parts of a shared network ------------------------------------------------------------------------


@pytest.fixture
def shared(finished, tmp_path) -> nas.Run:
    """The finished run as if by a shared network, whose probabilities turn the order round."""
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    told(folder, proxy="shared")
    results = [(t, t.result.accuracy) for t in finished.records]
    lines = [
        replace(t, result=Result(a, 1.0, 359, (), (), 0.1, score=0.6 - a / 2)) for t, a in results
    ]
    (folder / TRIALS).write_text("".join(f"{line.to_json()}\n" for line in lines))
    return nas.load(folder)


def told(folder: Path, **facts) -> None:
    """Change what run.json says of the task."""
    info = json.loads((folder / "run.json").read_text())
    info["task"] |= facts
    (folder / "run.json").write_text(json.dumps(info))


def test_a_front_is_by_probability(shared, finished):
    """Of two, the one of the lower accuracy and the higher probability is ahead."""
    points = [(t.result.score, -t.cost["macs"], t.number) for t in shared.records]
    best = {n for p, c, n in points if not any(q >= p and d >= c and m != n for q, d, m in points)}
    assert set(shared.front["number"]) == best != set(finished.front["number"])
    assert shared.front["score"].is_monotonic_increasing
    chosen = to_confirm(shared.records, OBJECTIVES, Budget(), 1)
    assert chosen[0].result.score == max(p for p, _, _ in points)
    found = pick(candidates([shared]), Budget(), "macs", "best", score=shared.score)
    assert found.row["number"] == chosen[0].number
    assert "it is the highest in score" in found.why.replace("on the front ", "")


def test_what_is_said_of_a_shared_run(shared, cli):
    found = cli("front", shared.path, "--pick", "best")
    assert found.code == 0 and "accuracy" not in found.out
    assert "Scores are of parts of one shared network, with 95 % intervals" in found.out
    found = cli("front", shared.path)
    assert f"score: {PROBABILITY}" in found.out and "±" in found.out
    assert found.out.split("\n")[1].split()[:4] == ["trial", "block", "score", "accuracy"]
    rows = json.loads(cli("front", shared.path, "--json").out)[0]["front"]
    assert {"accuracy", "accuracy_low", "score", "score_low"} <= rows[0].keys()
    (axes,) = plot_front([shared], "macs").axes
    assert axes.get_ylabel() == PROBABILITY
    assert "tell scores apart" in trust(shared).sentence
    assert json.loads(cli("trust", shared.path, "--json").out)["proxy"] == "shared"


def test_a_report_of_a_shared_run_has_both(shared):
    found = report_data([shared])
    metrics = {metric["name"]: metric for metric in found["metrics"]}
    assert (metrics["accuracy"]["word"], metrics["accuracy"]["label"]) == ("score", PROBABILITY)
    assert metrics["counted"]["word"] == "accuracy"
    point = found["points"][0]
    result = shared.records[0].result
    assert point["values"]["accuracy"] == pytest.approx(result.score, rel=1e-5)
    assert point["values"]["counted"] == pytest.approx(result.accuracy, rel=1e-5)
    assert "Scores are the probabilities (geometric means)" in found["runs"][0]["notes"][0]


def test_lines_of_a_search(shared):
    brief_one, long_one = part(3, 0.72, 0.612, 9), trial(3, 0.9, 9)
    assert "score 61.20 % (accuracy 72.00 %)  macs 9" in _line(brief_one, OBJECTIVES, False)
    assert said(brief_one, long_one) == (
        "trial 3: accuracy 90.00 % after 1 epochs, score 61.20 % (accuracy 72.00 %) in the search"
    )
    assert said(trial(3, 0.5, 9), long_one).endswith("after 1 epochs, 50.00 % in the search")


def test_confirmed_scores_agree_by_score(shared):
    for record in shared.records:  # the more probable, the better in the end
        longer = Result(record.result.score, 1.0, 359, (1.0,), (), 1.0)
        append_line(shared.path / CONFIRMED, replace(record, result=longer).to_json())
    found = trust(nas.load(shared.path))
    assert found.agreement.tau == pytest.approx(1)
    first = found.confirmed[0]
    assert first.score == first.confirmed != first.accuracy
    assert first.score_error == first.confirmed_error == standard_error(first.score, 359)


def test_noise_is_that_of_the_scores(shared):
    few = nas.load(shared.path)
    few.records[:] = [part(n, 0.5, 0.2 + n / 40, n + 1) for n in range(8)]
    found = trust(few)
    assert (found.error, found.validation_size) == (0.0125, 400)
    assert found.difference == pytest.approx(1.96 * 2**0.5 * 0.0125)
    surer = nas.load(shared.path)
    surer.records[:] = [part(n, 0.5, 0.2 + n / 40, n + 1, 0.001) for n in range(8)]
    assert found.ceiling < trust(surer).ceiling == pytest.approx(1)


# The standing of untrained networks ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "share"),
    [(100, 0.5), (110, 0.8413447), (80, 0.0227501), (-math.inf, 0)],
    ids=["mean", "above", "below", "no activations"],
)
def test_a_standing_by_hand(value, share):
    assert STANDING.standing(value) == pytest.approx(share, abs=1e-7)


def test_a_standing_where_all_score_alike():
    alike = replace(STANDING, deviation=0.0)
    assert [alike.standing(value) for value in (99, 100, 101)] == [0, 0.5, 1]
    with pytest.raises(ValueError, match="its naswot is no number"):
        STANDING.standing(math.nan)


def test_a_task_knows_what_networks_are_compared_with():
    task = Task("digits", None, "0", RECIPE)
    others = [replace(task, untrained=u) for u in (STANDING, replace(STANDING, mean=99.0))]
    assert len({task.id, *(other.id for other in others)}) == 3
    with pytest.raises(TypeError, match="expected a task of untrained networks, and an arch"):
        climb(nas.reference.published("mobilenet_v2_x1_0").graph(32), others[0], 0, 1)


def test_what_was_counted_on_no_images_has_no_noise():
    none = Result(None, None, 0, (), (), 0.1, score=0.6)
    table = frame([replace(trial(n, 0.5, 10 * n + 1), result=none) for n in range(2)])
    assert standard_error(0.6, 0) == 0 and (table["score_error"] == 0).all()
    known = with_intervals(table)
    assert known[["score_low", "accuracy", "accuracy_low", "accuracy_error"]].isna().all().all()
    assert (draw(known, Budget(), "macs").accuracy == 0.6).all()


# Searches by untrained networks -------------------------------------------------------------------


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> nas.Run:
    """A search of four untrained networks, to be read only."""
    settings = {**QUICK, "proxy": "zero-cost", "sampler": "random", "confirm": 0}
    return nas.search(**settings, out=tmp_path_factory.mktemp("untrained") / "run")


def test_a_search_by_untrained_networks(untrained):
    info = untrained.info
    assert info["task"]["proxy"] == "zero-cost"
    standing = Untrained(**info["task"]["untrained"])
    assert standing.name == "naswot" and standing.networks == 40 and standing.deviation > 0
    assert info["hypervolume_reference"]["accuracy"] == 0 < untrained.hypervolume
    for record in untrained.records:
        found = record.result
        assert found.accuracy is found.cross_entropy is None
        assert 0 <= found.score <= 1 and found.validation_size == 0 and found.curve == ()
    task = Task("digits", None, cached_data("digits", None).id, RECIPE, untrained=standing)
    assert task.id == info["task"]["id"]
    again = climb(untrained.records[0].architecture, task, seed=1, epochs=1).result
    assert again.score == untrained.records[0].result.score


def test_it_goes_on_in_processes_among_the_same_networks(untrained, quick, tmp_path):
    shutil.copytree(untrained.path, tmp_path / "run")
    first = (untrained.path / TRIALS).read_text().splitlines(keepends=True)[0]
    (tmp_path / "run" / TRIALS).write_text(first)
    run = nas.resume(tmp_path / "run", execution=Execution(workers=2))
    assert sorted(facts(run))[:1] == facts(untrained)[:1]
    assert run.info["task"] == untrained.info["task"]
    scores = {t.id: t.result.score for t in (*untrained.records, *run.records)}
    assert all(t.result.score == scores[t.id] for t in untrained.records)
    told(run.path, proxy="alone")
    with pytest.raises(InputError, match="by validation accuracy, new ones would be by NASWOT"):
        nas.resume(run.path, trials=5)


def test_it_is_confirmed_by_trainings(untrained, cli, brief, tmp_path):
    shutil.copytree(untrained.path, tmp_path / "run")
    found = cli("search", "--resume", tmp_path / "run", "--confirm", 1)
    assert found.code == 0 and "Scores of untrained networks have no noise" in found.out
    assert "after 3 epochs, score " in found.err
    (line,) = nas.load(tmp_path / "run").confirmed
    assert line.result.accuracy == line.result.score and len(line.result.curve) == 3
    found = cli("trust", tmp_path / "run")
    assert found.code == 0 and "score" in found.out and " ± 0.00 %" in found.out
    job = longer(untrained.records[0], Task("digits", None, "0", RECIPE, untrained=STANDING))
    assert job.task.at_once is None and job.patience == math.inf


def test_what_is_said_of_untrained_networks(untrained, cli, tmp_path):
    rows = json.loads(cli("front", untrained.path, "--json").out)[0]["front"]
    assert all(row["accuracy"] is None and 0 <= row["score"] <= 1 for row in rows)
    found = cli("front", untrained.path, "--plot", tmp_path / "front.png")
    assert f"score: {NASWOT}" in found.out and "±" not in found.out
    found = cli("front", untrained.path, "--pick", "knee")
    assert "Scores are of untrained networks, and no accuracies. Train" in found.out
    known = json.loads(cli("trust", untrained.path, "--json").out)
    assert (known["finest"], known["ceiling"], known["error"]) == (None, None, 0)
    assert all(tie["not_told_from"] == [] for tie in known["ties"])
    assert cli("report", untrained.path, "--out", tmp_path / "report.html").code == 0
    data = report_data([untrained])
    (metric,) = [metric for metric in data["metrics"] if metric["kind"] == "share"]
    assert (metric["word"], metric["label"]) == ("score", NASWOT)
    assert all("accuracy" not in point["bounds"] for point in data["points"])
    json.dumps(data, allow_nan=False)
    notes = data["runs"][0]["notes"]
    assert "NASWOT" in notes[0] and not any("counted on" in note for note in notes)
    assert cli("show", f"{untrained.path}:0").code == 0
    (axes,) = plot_front([untrained], "macs").axes
    assert axes.get_ylabel() == NASWOT
    found = assess(candidates([untrained]), Budget(), "macs")
    figure = plot_chances(found, "macs", score=untrained.score)
    assert figure.axes[0].get_ylabel().replace("\n", " ") == NASWOT


def test_runs_of_untrained_networks_are_compared_with_their_own(untrained, finished):
    with pytest.raises(InputError, match="scores of untrained networks are a run's own"):
        check_comparable([finished, untrained], "macs")
    with pytest.raises(InputError, match="its scores are of untrained networks"):
        nas.search(**QUICK, prior=(untrained.path,), out=untrained.path.parent / "other")


def test_it_is_said_once_that_these_are_no_accuracies(cli, quick_flags, tmp_path):
    words = [*quick_flags, "--trials", 1, "--confirm", 0, "--proxy", "zero-cost"]
    found = cli("search", *words, "--out", tmp_path / "run")
    assert found.code == 0
    assert " ".join(found.err.split()).count("are no accuracies, and order networks no better") == 1
    assert "score " in found.err and "accuracy 1" not in found.err


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"rungs": (1,), "recipe": replace(RECIPE, epochs=2)}, "--rungs: expected with --proxy al"),
        ({"baselines": ("mobilenet_v2_x1_0",)}, "--baselines: expected with --proxy alone"),
        ({"prior": ("x",)}, "--from: expected with --proxy alone"),
        ({"proxy_time": 5.0}, "--proxy-time: expected with --proxy shared"),
    ],
    ids=["rungs", "baselines", "prior", "time"],
)
def test_what_does_not_go_with_untrained_networks(settings, flag):
    with pytest.raises(InputError) as error:
        Settings(proxy="zero-cost", **settings)
    assert str(error.value).startswith(flag)


@nas.block
@dataclass(frozen=True, slots=True)
class Linear:
    """A convolution without an activation."""

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        return x.conv(width, 3, stride, act=None)


def test_a_space_without_activations_is_refused_before_anything_is_written(tmp_path):
    space = tmp_path / "linear.yaml"
    space.write_text(
        "stem: {block: linear, width: 8, stride: 2}\n"
        "stages: [{block: linear, depth: 1, width: {choice: [8, 16]}, stride: 2}]\n"
        "head: {head: classifier}\n"
    )
    with pytest.raises(InputError, match="--proxy zero-cost: naswot is finite for 0 of 40 random"):
        nas.search(**{**QUICK, "space": space, "proxy": "zero-cost"}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_are_read_as_they_were_written():
    settings = Settings(proxy="zero-cost")
    assert Settings.from_dict(asdict(settings)) == settings and settings.way == "zero-cost"
    assert Settings().way == "alone"
