// The interactive front, drawn by Plotly; what is hovered is told beside it.

const plot = byId("plot");
const touch = matchMedia("(pointer: coarse)").matches; // there, a drag scrolls the page
const CONFIG = {
  responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover",
  modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"], ["toImage"]],
};

function drawChart() {
  const points = visible();
  const found = placed(points).filter((point) => !point.published);
  const published = placed(points).filter((point) => point.published);
  const fronts = [...state.runs].map((run) => ({ run, points: frontOf(points, run) }));
  const traces = [
    ...fronts.map(({ run, points }) => frontTrace(points, run)),
    trialTrace(found), // above the lines
    publishedTrace(published),
    selectedTrace(),
  ];
  return Plotly.react(plot, traces, layout(found), CONFIG);
}

const column = (points, name) => points.map((point) => point.values[name]);

function base(points, name) {
  return {
    name, x: column(points, state.x), y: column(points, state.y), type: "scatter",
    customdata: points.map((point) => DATA.points.indexOf(point)), hoverinfo: "none",
  };
}

function trialTrace(points) {
  return {
    ...base(points, "trials"), mode: "markers",
    marker: {
      size: touch ? 11 : 9, opacity: 0.85, color: points.map((p) => color(p.family)),
      symbol: points.map((p) => symbol(p.family)), line: { width: 0.7, color: css("--edge") },
    },
  };
}

function symbol(family) {
  return SYMBOLS[Object.keys(DATA.colors).indexOf(family)] ?? "hexagon";
}

/** A step: until the next network nothing found is better. */
function frontTrace(points, run) {
  return {
    ...base(points, `front ${run}`), mode: "lines",
    line: { shape: "hv", width: 1.6, color: css("--ink"), dash: DASHES[run % DASHES.length] },
    error_x: bars(points, state.x), error_y: bars(points, state.y),
  };
}

function bars(points, name) {
  const reach = (side) => points.map((point) =>
    Math.abs((point.bounds[name]?.[side] ?? point.values[name]) - point.values[name]));
  return {
    visible: state.bars && points.some((point) => name in point.bounds), type: "data",
    symmetric: false, array: reach(1), arrayminus: reach(0), thickness: 0.9, width: 2,
    color: css("--ink"),
  };
}

function publishedTrace(points) {
  return {
    ...base(points, "published"), mode: "markers+text", text: points.map((p) => plain(p.name)),
    textposition: "bottom right", textfont: { size: 10, color: css("--soft") },
    marker: { symbol: "star", size: 12, color: css("--ink") },
  };
}

/** Plotly reads tags and entities in texts; names have none. */
function plain(name) {
  return name.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function selectedTrace() {
  const points = state.selected ? placed([state.selected]) : [];
  const line = { width: 2.5, color: css("--accent") };
  return {
    ...base(points, "selected"), mode: "markers",
    marker: { size: 20, symbol: "circle-open", line, color: css("--accent") },
  };
}

function layout(points) {
  const [x, y] = [METRICS.get(state.x), METRICS.get(state.y)];
  return {
    margin: { l: 62, r: 14, t: 10, b: 48 }, showlegend: false, hovermode: "closest",
    hoverdistance: 20, dragmode: touch ? false : "zoom", uirevision: `${x.name} ${y.name} ${state.log}`,
    paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    modebar: { bgcolor: "transparent", color: css("--soft"), activecolor: css("--accent") },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: css("--soft") },
    xaxis: { ...axis(x), type: state.log ? "log" : "linear", dtick: state.log ? "D2" : undefined },
    yaxis: { ...axis(y), ...focus(points, y) },
  };
}

function axis(metric) {
  return {
    title: { text: metric.label, standoff: 12 }, tickformat: TICKS[metric.kind],
    gridcolor: css("--line"), linecolor: css("--line"), zeroline: false, automargin: true,
  };
}

/** Leave failures to learn out of sight, as in the figures of `nas front --plot`. */
function focus(points, metric) {
  const values = column(points, metric.name).sort((a, b) => a - b);
  if (metric.kind !== "share" || values.length < 5) return {};
  const [low, high] = [values[Math.floor(0.2 * (values.length - 1))], values.at(-1)];
  const spread = Math.max(high - low, 0.02);
  return { range: [low - 0.15 * spread, high + 0.25 * spread] };
}

// Hovering and clicking ---------------------------------------------------------------------------

function listenToChart() {
  plot.on("plotly_hover", ({ points: [hit], event }) => tell(DATA.points[hit.customdata], event));
  plot.on("plotly_unhover", () => { byId("tip").hidden = true; });
  plot.on("plotly_click", ({ points: [hit] }) => select(DATA.points[hit.customdata]));
}

function tell(point, event) {
  const tip = byId("tip");
  tip.replaceChildren(el("b", {}, point.name), el("span", {}, headline(point)), values(point));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const [left, top] = [event.clientX + 16, event.clientY + 12];
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 8))}px`;
  tip.style.top = `${top + height < innerHeight ? top : Math.max(4, event.clientY - height - 12)}px`;
}

/** Blocks and depth of a network in a line: ghost ×3 · fire ×2 · 192 px. */
function headline(point) {
  if (!point.stages) return point.published ? "published" : point.family;
  const stages = point.stages.slice(1, -1).map((s) => `${s.block} ×${s.depth}`);
  return [...stages, `${point.input[1]} px`].join(" · ");
}

/** Metrics with their intervals, a longer training's accuracy, the chance of being on the front. */
function values(point, shown = DATA.metrics) {
  const list = el("dl");
  for (const metric of shown.filter((m) => m.name in point.values)) {
    const value = el("span", {}, show(metric, point.values[metric.name]));
    const range = el("small", {}, between(metric, point.bounds[metric.name]));
    list.append(el("dt", {}, metric.word), el("dd", {}, value, " ", range));
  }
  if (typeof point.confirmed === "number") {
    const confirmed = show(METRICS.get("accuracy"), point.confirmed);
    list.append(el("dt", {}, "accuracy, confirmed"), el("dd", {}, confirmed));
  }
  if (point.chance !== undefined && point.chance !== null) {
    list.append(el("dt", {}, "truly on the front"), el("dd", {}, percent(point.chance)));
  }
  return list;
}
