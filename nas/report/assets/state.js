// What is shown: the choices of the reader, and what follows from them.

const DATA = JSON.parse(byId("data").textContent);
const METRICS = new Map(DATA.metrics.map((metric) => [metric.name, metric]));
const COSTS = DATA.metrics.filter((metric) => metric.kind !== "share");
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "cross", "x"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const FAMILIES = [...new Set(DATA.points.map((point) => point.family))].sort();

const [{ cost }] = DATA.runs;
const state = {
  x: METRICS.has(cost) ? cost : COSTS[0].name,
  y: "accuracy",
  log: false,
  bars: true,
  families: new Set(FAMILIES),
  runs: new Set(DATA.runs.keys()),
  limits: new Map(), // metric → largest value
  selected: null, // a point
  sort: { key: "accuracy", descending: true },
};

/** Points of the chosen runs and families within the limits; of published networks too. */
function visible() {
  return DATA.points.filter((point) =>
    state.runs.has(point.run) && state.families.has(point.family)
    && [...state.limits].every(([name, limit]) => !(point.values[name] > limit)));
}

/** Those that have a value on both axes. */
function placed(points) {
  return points.filter((p) => state.x in p.values && state.y in p.values);
}

/** The found networks of a run that none of them dominates on the chosen axes, cheapest first. */
function frontOf(points, run) {
  const sign = METRICS.get(state.y).kind === "share" ? 1 : -1;
  const height = (point) => sign * point.values[state.y];
  const own = placed(points).filter((p) => p.run === run && !p.published && !p.over);
  own.sort((p, q) => p.values[state.x] - q.values[state.x] || height(q) - height(p));
  let best = -Infinity;
  return own.filter((point) => {
    const better = height(point) > best;
    best = Math.max(best, height(point));
    return better;
  });
}

/** Whether the values of a metric spread over more than a decade. */
function spreads(name) {
  const values = DATA.points.map((p) => p.values[name]).filter((v) => v !== undefined);
  return Math.min(...values) > 0 && Math.max(...values) > 10 * Math.min(...values);
}

function color(family) {
  return DATA.colors[family] ?? css("--other");
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
