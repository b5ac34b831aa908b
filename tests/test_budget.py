"""Budgets as people write them, and what is said of those that make no sense."""

from __future__ import annotations

import pytest

from nas.budget import EXAMPLES, Budget
from nas.cost import Cost
from nas.errors import InputError
from nas.metrics import ALIASES, COSTS, METRICS


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("300M-flops", "macs", 300e6),
        ("300M-macs", "macs", 300e6),
        ("0.3G-flops", "macs", 300e6),
        ("300000k-flops", "macs", 300e6),
        ("300000K-flops", "macs", 300e6),
        ("300000000-flops", "macs", 300e6),
        ("3e8-flops", "macs", 300e6),
        ("3.5e+2M-flops", "macs", 350e6),
        ("300 M-flops", "macs", 300e6),
        (" 300M-flops ", "macs", 300e6),
        ("5M-params", "params", 5e6),
        ("4.5M-activations", "activations", 4.5e6),
        ("20ms-latency", "latency", 20),
        ("0.02s-latency", "latency", 20),
        ("500us-latency", "latency", 0.5),
        ("500µs-latency", "latency", 0.5),
        ("500μs-latency", "latency", 0.5),  # the Greek letter
        ("4MB-memory", "memory", 4e6),
        ("4MiB-memory", "memory", 4 * 2**20),
        ("4096B-memory", "memory", 4096),
        ("4kB-memory", "memory", 4e3),
        ("4KB-memory", "memory", 4e3),
        ("4KiB-memory", "memory", 4096),
        ("1GB-traffic", "traffic", 1e9),
        ("1GiB-traffic", "traffic", 2**30),
        ("2MiB-size", "size", 2 * 2**20),
    ],
)
def test_units(text, metric, limit):
    assert Budget.parse(text).limits == ((metric, pytest.approx(limit, rel=1e-12)),)


def test_every_metric_with_a_unit_can_be_limited():
    for name in (*COSTS, *ALIASES):
        for unit in METRICS[ALIASES.get(name, name)].units:
            assert ALIASES.get(name, name) in Budget.parse(f"2{unit}-{name}")


def test_the_examples_in_messages_are_right():
    texts = EXAMPLES.replace(" or ", ", ").split(", ")
    assert len(Budget.parse(texts).limits) == len(texts)


def test_several_budgets():
    budget = Budget.parse(["300M-flops", "20ms-latency"])
    assert budget["macs"] == 300e6 and budget["latency"] == 20
    assert "params" not in budget
    with pytest.raises(KeyError):
        budget["params"]
    assert str(budget) == "300 M macs, 20 ms latency"


def test_formatting():
    assert str(Budget.parse("1.5G-flops")) == "1.5 G macs"
    assert str(Budget.parse("5400k-params")) == "5.4 M params"
    assert str(Budget.parse("2MiB-size")) == "2.097 MB size"
    assert str(Budget.parse("700B-memory")) == "700 B memory"
    assert str(Budget.parse("250ms-latency")) == "250 ms latency"
    assert str(Budget.parse("5.61ms-latency")) == "5.61 ms latency"
    assert str(Budget()) == ""
    assert METRICS["accuracy"].format(0.9722) == "97.22 %"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("300M", "expected a number, a unit and a metric"),
        ("flops", "expected a number, a unit and a metric"),
        ("", "expected a number, a unit and a metric"),
        ("-5M-params", "expected a number, a unit and a metric"),
        ("nan-flops", "expected a number, a unit and a metric"),
        ("1,000-flops", "expected a number, a unit and a metric"),
        ("300M flops", "expected a number, a unit and a metric"),
        ("5.-params", "expected a number, a unit and a metric"),
        ("300M-flops, 5M-params", "expected a number, a unit and a metric"),
        ("300M-flips", "unknown metric 'flips'; known are flops, latency, macs"),
        ("90-accuracy", "unknown metric 'accuracy'"),
        ("300m-flops", "'m' is not a unit of flops; known are none, k, K, M, G"),
        ("300MB-flops", "'MB' is not a unit of flops"),
        ("20-latency", "no unit is not a unit of latency; known are us, µs, ms, s"),
        ("20min-latency", "'min' is not a unit of latency"),
        ("4M-memory", "'M' is not a unit of memory; known are B, kB"),
        ("4Mb-memory", "'Mb' is not a unit of memory"),
        ("0M-flops", "expected a finite number above zero"),
        ("1e999-flops", "expected a finite number above zero"),
    ],
)
def test_nonsense_is_told_with_the_text_and_an_example(text, said):
    with pytest.raises(InputError) as error:
        Budget.parse(text)
    message = str(error.value)
    assert message.startswith(f"budget {text!r}: ") and said in message
    assert message.endswith(f"as {EXAMPLES}") and "\n" not in message


def test_a_metric_is_limited_once():
    with pytest.raises(InputError, match=r"budget '200M-macs': macs has a limit already"):
        Budget.parse(["300M-flops", "200M-macs"])


def test_excess_is_relative():
    budget = Budget.parse(["100-flops", "50-params", "8B-size", "20ms-latency"])
    excess = budget.excess(Cost(macs=150, params=25))
    assert excess == {"macs": pytest.approx(0.5), "params": -0.5, "size": 25 * 4 / 8 - 1}
    assert budget.excess({"latency": 20}) == {"latency": 0.0}
    assert budget.excess({"latency": None, "accuracy": 0.9}) == {}


def test_a_limit_is_allowed_and_more_is_not():
    budget = Budget.parse("100-flops")
    assert budget.allows(Cost(macs=100)) and not budget.allows(Cost(macs=101))
    assert Budget().allows(Cost(macs=10**12))
