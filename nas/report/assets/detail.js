// One network: its diagram by stages, its YAML, the commands that go on with it.

function drawDetail() {
  const point = state.selected;
  if (!point) {
    byId("detail").replaceChildren(el("p", {}, "Choose a point or a row to see its network."));
    return;
  }
  const list = values(point);
  list.className = "wide";
  byId("detail").replaceChildren(el("h2", {}, point.name), list, ...picture(point), ...source(point));
}

function picture(point) {
  if (!point.stages) return [el("p", {}, missing(point))];
  return [el("h3", {}, "Stages"), strip(point), stageTable(point)];
}

function missing(point) {
  if (point.published) return "A published network that is no table of stages.";
  return "Its diagram is left out: a block that is not known here, or one of very many trials.";
}

function source(point) {
  const parts = [];
  if (!point.published) {
    const lines = commands(point).map((line) => el("pre", { className: "command" }, line));
    parts.push(el("h3", {}, "Train it fully, and export it"), ...lines);
  }
  if (point.yaml) {
    const text = el("pre", { className: "yaml" }, point.yaml);
    parts.push(el("details", {}, el("summary", {}, "Architecture as YAML"), text));
  }
  return parts;
}

/** For a shell: names are quoted for it already, and a folder's has nothing to quote. */
function commands(point) {
  const folder = `trained/${point.name.split("/").pop().replace(/[^\w.]+/g, "-")}`;
  return [
    `nas train ${point.shell} --out ${folder}`,
    `nas export ${folder} --format onnx --out net.onnx`,
  ];
}

/** Every block as a box, as high as its map and as wide as its channels, both logarithmically. */
function strip(point) {
  const height = (side) => 6 + 8 * Math.log2(1 + side);
  const width = (channels) => 3 + 1.6 * Math.log2(channels);
  const middle = 52;
  const boxes = [];
  let x = 12;
  for (const stage of point.stages.slice(0, -1)) {
    const [channels, side] = stage.shape;
    const begin = x;
    for (let i = 0; i < stage.depth; i++) {
      const [w, h] = [width(channels), height(side)];
      const place = { x, y: middle - h / 2, width: w, height: h, rx: 1.5, fill: color(stage.block) };
      boxes.push(svg("rect", place, svg("title", {}, `${stage.block}, ${channels} × ${side} × ${side}`)));
      x += w + 1.5;
    }
    const label = (y, text) => svg("text", { x: (begin + x) / 2, y }, text);
    boxes.push(label(10, `${side} px`), label(106, String(channels)));
    x = Math.max(x, begin + 24) + 9;
  }
  const frame = { viewBox: `0 0 ${Math.max(x, 260)} 112`, preserveAspectRatio: "xMinYMid" };
  return svg("svg", { ...frame, class: "strip", role: "img", "aria-label": headline(point) }, ...boxes);
}

function stageTable(point) {
  const total = (key) => point.stages.reduce((sum, stage) => sum + stage[key], 0);
  const rows = point.stages.map((stage) => el("tr", {},
    el("td", {}, name(stage), el("small", {}, settings(stage))),
    el("td", {}, size(stage.shape)),
    el("td", {}, ...share(stage.macs, total("macs"))),
    el("td", {}, ...share(stage.params, total("params"))),
  ));
  const titles = ["block", "output", "MACs", "params"].map((text) => el("th", {}, text));
  const head = el("thead", {}, el("tr", {}, ...titles));
  return el("table", { className: "stages" }, head, el("tbody", {}, ...rows));
}

function size([channels, height, width]) {
  return height === width ? `${channels} × ${height}²` : `${channels} × ${height} × ${width}`;
}

function name(stage) {
  const swatch = el("span", { className: "swatch" });
  swatch.style.background = color(stage.block);
  const depth = stage.depth > 1 ? ` ×${stage.depth}` : "";
  return el("span", {}, swatch, ` ${stage.block}${depth}`);
}

function settings(stage) {
  const stride = stage.stride > 1 ? [`stride ${stage.stride}`] : [];
  const own = Object.entries(stage.settings)
    .map(([key, value]) => `${key} ${typeof value === "number" ? digits(value, 3) : value}`);
  return [...stride, ...own].join(", ");
}

/** A count and its share of the network's. */
function share(value, total) {
  const bar = el("span", { className: "bar" });
  bar.style.width = `${100 * value / Math.max(total, 1)}%`;
  return [scaled(value, "", 3), bar];
}
