// All shown networks, sorted by any column.

const COLUMNS = [
  { key: "name", label: "network", value: (p) => p.name, text: (p) => p.name, left: true },
  { key: "family", label: "block", value: (p) => p.family, text: (p) => p.family, left: true },
  ...DATA.metrics.map((metric) => ({
    key: metric.name, label: metric.word, value: (p) => p.values[metric.name],
    text: (p) => show(metric, p.values[metric.name]) + error(p, metric),
  })),
  {
    key: "chance", label: "truly on the front", value: (p) => p.chance ?? undefined,
    text: (p) => (typeof p.chance === "number" ? percent(p.chance) : p.published ? "published" : ""),
  },
];
const rows = new Map(DATA.points.map((point) => [point, row(point)]));

function error(point, metric) {
  const bounds = point.bounds[metric.name];
  if (!bounds || metric.kind !== "share") return "";
  return ` ± ${(50 * (bounds[1] - bounds[0])).toFixed(2)}`;
}

function row(point) {
  const cells = COLUMNS.map((c) => el("td", { className: c.left ? "text" : "" }, c.text(point)));
  const line = el("tr", { className: point.front ? "front" : "", tabIndex: 0 }, ...cells);
  line.addEventListener("click", () => select(point));
  line.addEventListener("keydown", ({ key }) => key === "Enter" && select(point));
  return line;
}

function drawTable() {
  const shown = visible().sort(compare);
  document.querySelector("#networks thead").replaceChildren(el("tr", {}, ...COLUMNS.map(heading)));
  document.querySelector("#networks tbody").replaceChildren(...shown.map((p) => rows.get(p)));
  byId("count").textContent = `${shown.length} of ${DATA.points.length}; bold: on the front of ${METRICS.get("accuracy").word} and ${cost}`;
}

function heading(column) {
  const cell = el("th", { className: column.left ? "text" : "" });
  const { key, descending } = state.sort;
  if (column.key === key) cell.ariaSort = descending ? "descending" : "ascending";
  const button = el("button", { type: "button" }, column.label);
  button.addEventListener("click", () => {
    state.sort = { key: column.key, descending: column.key === key ? !descending : !column.left };
    drawTable();
  });
  cell.append(button);
  return cell;
}

/** Rows without a value come last, whatever the order. */
function compare(p, q) {
  const { value } = COLUMNS.find((column) => column.key === state.sort.key);
  const [a, b] = [value(p), value(q)];
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  return state.sort.descending ? -order : order;
}

function markRow() {
  document.querySelector("#networks tr.selected")?.classList.remove("selected");
  rows.get(state.selected)?.classList.add("selected");
}
