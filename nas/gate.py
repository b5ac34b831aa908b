"""What may become a trial: architectures within the budget that were not seen before.

Cost is exact and takes a fraction of a millisecond, so a proposal over the budget is replaced
before a trial exists. A latency budget is the same where a device's table estimates latencies.
Without a table it is checked last, by timing the untrained network, unless what was timed before
tells that it is too slow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import lru_cache

from nas.arch import Architecture, trace
from nas.budget import Budget
from nas.graph import Graph
from nas.latency import Latency
from nas.latency.device import Device
from nas.latency.learner import Learner
from nas.latency.table import DeviceTable, as_latency
from nas.records import Trial
from nas.samplers import SpaceExhausted
from nas.space import Candidate, Params, Space

SMALL = 4096  # settings that are worth listing before a space is called exhausted
WALKS, STEPS = 20, 200  # of a random walk to an unseen setting in a larger one
FLUKES = 100  # proposals in a row over the latency budget, after which the search gives up
REMEMBERED = 2**13  # estimates that are not worked out again

Measure = Callable[[Graph], Latency]
Reject = Callable[[Candidate | Params, str, Latency | None], None]


class Gate:
    """Admits candidates; remembers those that it has seen, and their latencies.

    With a `table`, latencies are its estimates and nothing is measured. `reject` is told of every
    proposal that was turned away by its timing or because a block raised.
    """

    def __init__(
        self,
        space: Space,
        budget: Budget,
        measure: Measure | None,
        reject: Reject,
        table: DeviceTable | None = None,
    ) -> None:
        self.space = space
        self.budget = budget
        self.seen: set[str] = set()
        self.refused: set[int] = set()  # hashes, by `admits`, for whoever cannot tell by id
        self.latencies: dict[str, Latency] = {}  # that were measured
        self.learner = Learner()
        self.table = table
        self._measure = measure
        self._reject = reject
        self._slow = 0
        self._broken: set[str] = set()
        self._estimate = lru_cache(REMEMBERED)(self._estimated)

    def remember(self, trial: Trial) -> None:
        """Take up a finished trial: it is not proposed again, and its latency is known."""
        self.seen.add(trial.id)
        if trial.latency and not self.table:
            self._learn(trial.id, trace(trial.architecture), Latency(**trial.latency))

    def candidate(self, params: Params) -> Candidate | None:
        """The candidate of a setting, None where one of its blocks raises."""
        try:
            return self.space.candidate(params)
        except Exception as error:  # a user's block may raise anything
            reason = reason_of(error)
            if reason not in self._broken:
                self._broken.add(reason)
                self._reject(params, reason, None)
            return None

    def admits(self, params: Params) -> bool:
        """Whether the setting is new and within the budget."""
        candidate = self.candidate(params)
        if candidate is None or self.excess(candidate) > 0:
            return False
        if candidate.id not in self.seen and self._fast_enough(candidate):
            return True
        self.refused.add(hash(candidate.arch))
        return False

    def mend(self, params: Params, rng: random.Random) -> Params:
        """An admitted setting near `params`, if any are given; raises SpaceExhausted if none is."""
        if self.space.size <= SMALL:
            return self._first(self._listed(rng))
        for walk in range(WALKS):
            start = params if params and walk == 0 else self.space.sample(rng)
            feasible = self.feasible(start, rng)
            if feasible is not None and (found := self._walk(feasible, rng)):
                return found
        raise SpaceExhausted(f"no unseen architecture was found in {WALKS * STEPS} tries")

    def _first(self, settings: Iterable[Params]) -> Params:
        for params in settings:
            if self.admits(params):
                return params
        raise SpaceExhausted(f"all architectures of {self.space.name} within the budget are done")

    def _listed(self, rng: random.Random) -> list[Params]:
        settings = list(self.space.settings())
        rng.shuffle(settings)
        return settings

    def feasible(self, params: Params, rng: random.Random) -> Params | None:
        """Change one parameter at a time for the least excess, until within the budget.

        None where no change helps. No latency is measured for it.
        """
        excess = self._excess(params)
        while excess > 0:
            steps = (self.space.neighbour(params, rng) for _ in range(STEPS))
            better = next(((p, e) for p in steps if (e := self._excess(p)) < excess), None)
            if better is None:
                return None
            params, excess = better
        return params

    def _excess(self, params: Params) -> float:
        candidate = self.candidate(params)
        return float("inf") if candidate is None else self.excess(candidate)

    def excess(self, candidate: Candidate) -> float:
        """The largest relative excess over the limits that need no timing; ≤ 0 is within them."""
        counted = excess_of(self.budget, candidate)
        if counted > 0 or self.table is None or "latency" not in self.budget:
            return counted
        return max(counted, self.latency(candidate).latency_ms / self.budget["latency"] - 1)

    def _walk(self, params: Params, rng: random.Random) -> Params | None:
        """A random walk within the budget to a setting that is admitted."""
        for _ in range(STEPS):
            if self.admits(params):
                return params
            step = self.space.neighbour(params, rng)
            if self._excess(step) <= 0:
                params = step
        return None

    def _fast_enough(self, candidate: Candidate) -> bool:
        if "latency" not in self.budget or self.table:
            return True
        try:
            latency = self._judged(candidate)
        except Exception as error:  # one bad network must not end a search
            self.seen.add(candidate.id)
            self._reject(candidate, reason_of(error), None)
            return False
        if latency.latency_ms <= self.budget["latency"]:
            self._slow = 0
            return True
        self.seen.add(candidate.id)
        self._reject(candidate, "over the latency budget", latency)
        self._slow += 1
        if self._slow >= FLUKES:
            raise SpaceExhausted(f"the last {FLUKES} proposals were over the latency budget")
        return False

    def _judged(self, candidate: Candidate) -> Latency:
        """The candidate's latency; an estimate where even its lower bound is over the limit."""
        if candidate.id not in self.latencies:
            estimate = self.learner.predict(candidate.arch)
            if self.learner.version and estimate.low > self.budget["latency"]:
                like = next(iter(self.latencies.values()))
                device = Device(like.backend, like.threads, like.cpu)
                return as_latency(estimate, device, like.reference_ms)
        return self.latency(candidate)

    def expected(self, metric: str, candidate: Candidate) -> float:
        """A cost, counted or estimated without any timing."""
        if metric != "latency":
            return float(getattr(candidate.cost, metric))
        if self.table:
            return self.latency(candidate).latency_ms
        return self.learner.predict(candidate.arch).ms

    def promising(self, candidate: Candidate) -> bool:
        """Whether it may be within the budget, as far as can be told without any timing."""
        if hash(candidate.arch) in self.refused or self.excess(candidate) > 0:
            return False
        if "latency" not in self.budget or self.table:
            return True
        return self.learner.predict(candidate.arch).low <= self.budget["latency"]

    def latency(self, candidate: Candidate) -> Latency:
        """The candidate's latency, estimated, or measured once."""
        if self.table:
            return self._estimate(candidate.arch)
        identity = candidate.id
        if identity not in self.latencies:
            if self._measure is None:
                raise RuntimeError("this search measures no latencies")
            graph = candidate.graph
            self._learn(identity, graph, self._measure(graph))
        return self.latencies[identity]

    def _estimated(self, arch: Architecture) -> Latency:
        assert self.table
        return self.table.latency(trace(arch))

    def _learn(self, identity: str, graph: Graph, latency: Latency) -> None:
        self.latencies[identity] = latency
        if latency.source == "measured":
            self.learner.tell(graph, latency.latency_ms)


def reason_of(error: Exception) -> str:
    """An error in one line; tracing has put its place and type before it already."""
    return str(error) if error.__cause__ else f"{type(error).__name__}: {error}"


def excess_of(budget: Budget, candidate: Candidate) -> float:
    """The largest relative excess over the counted limits; ≤ 0 is within the budget."""
    return max(budget.excess(candidate.cost).values(), default=0.0)
