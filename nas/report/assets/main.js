// The controls, and what is drawn again when they change.

const STEPS = 1000; // of a slider

function redraw() {
  drawChart();
  drawTable();
}

function select(point) {
  state.selected = point;
  drawDetail();
  markRow();
  drawChart();
}

function chip(label, mark, chosen, key) {
  const button = el("button", { type: "button", className: "chip", ariaPressed: "true" });
  button.append(...mark, el("span", {}, label));
  button.addEventListener("click", () => {
    if (!chosen.delete(key)) chosen.add(key);
    button.ariaPressed = String(chosen.has(key));
    redraw();
  });
  return button;
}

function makeFamilies() {
  byId("families").append(...FAMILIES.map((family) => {
    const dot = svg("circle", { cx: 6, cy: 6, r: 5.5, fill: color(family) });
    return chip(family, [svg("svg", { viewBox: "0 0 12 12" }, dot)], state.families, family);
  }));
}

function makeRuns() {
  if (DATA.runs.length < 2) return;
  const dashes = ["", "4 2", "1 2", "4 2 1 2"];
  byId("runs").append(...DATA.runs.map((run, i) => {
    const style = { stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": dashes[i % 4] };
    const line = svg("line", { x1: 0, x2: 24, y1: 6, y2: 6, ...style });
    return chip(run.path, [svg("svg", { viewBox: "0 0 24 12" }, line)], state.runs, i);
  }));
}

/** A slider from the smallest to the largest cost, by equal factors. */
function makeLimit(metric) {
  const known = DATA.points.map((p) => p.values[metric.name]).filter((v) => v > 0);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const output = el("output", {}, "any");
  const slider = el("input", { type: "range", min: 0, max: STEPS, ariaLabel: `largest ${metric.name}` });
  slider.value = STEPS;
  slider.addEventListener("input", () => {
    // A hair more, so that rounding does not take the network at the limit away.
    const limit = low * (high / low) ** (slider.value / STEPS) * (1 + 1e-9);
    if (Number(slider.value) === STEPS) state.limits.delete(metric.name);
    else state.limits.set(metric.name, limit);
    output.textContent = state.limits.has(metric.name) ? show(metric, limit) : "any";
    redraw();
  });
  return el("label", {}, `${metric.name} ≤ `, slider, " ", output);
}

function makeAxis(axis, metrics) {
  const menu = byId(axis);
  menu.append(...metrics.map((metric) => el("option", { value: metric.name }, metric.label)));
  menu.value = state[axis];
  menu.addEventListener("change", () => {
    state[axis] = menu.value;
    if (axis === "x") setLog(spreads(menu.value));
    drawChart();
  });
}

function setLog(log) {
  state.log = byId("log").checked = log;
}

function makeSwitches() {
  for (const key of ["log", "bars"]) {
    byId(key).addEventListener("change", () => {
      state[key] = byId(key).checked;
      drawChart();
    });
  }
}

function list(notes) {
  return el("ul", {}, ...notes.map((note) => el("li", {}, note)));
}

function describe() {
  if (DATA.notes.length) byId("trust").append(list(DATA.notes));
  for (const run of DATA.runs) {
    const budget = run.budget.length ? `, within ${run.budget.join(", ")}` : "";
    const going = run.progress.startsWith("still") ? "going" : "";
    const progress = el("b", { className: going }, run.progress);
    const about = `${run.path}: ${run.space} on ${run.data}${budget}, `;
    byId("summary").append(el("span", {}, about, progress));
    byId("trust").append(el("h3", {}, run.path), list(run.notes));
  }
  byId("made").textContent = `Written by nas report on ${DATA.made}. Stars are published networks.`;
}

describe();
makeFamilies();
makeRuns();
byId("limits").append(...COSTS.filter((m) => ["latency", "macs", "params"].includes(m.name)).map(makeLimit));
makeAxis("x", COSTS);
makeAxis("y", DATA.metrics);
makeSwitches();
setLog(spreads(state.x));
drawTable();
drawDetail();
drawChart().then(listenToChart);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);
