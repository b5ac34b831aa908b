"use strict";
// Elements and numbers as text. Nothing on this page is ever set as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children; texts become text nodes. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

/** An element of a picture with attributes. */
function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function byId(id) {
  return document.getElementById(id);
}

const digits = (value, count) => String(Number(value.toPrecision(count)));

function scaled(value, suffix, count = 4) {
  for (const [scale, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= scale) return `${digits(value / scale, count)} ${letter}${suffix}`;
  }
  return `${digits(value, count)} ${suffix}`.trim();
}

const FORMATS = {
  share: (value) => `${(100 * value).toFixed(2)} %`,
  ms: (value) => `${digits(value, 3)} ms`,
  bytes: (value) => scaled(value, "B"),
  count: (value) => scaled(value, ""),
};
const TICKS = { share: ",.3~%", ms: "~r", bytes: "~s", count: "~s" }; // d3-format

/** A value of a metric as people read it: 300.8 M, 4.2 MB, 5.61 ms, 97.2 %. */
function show(metric, value) {
  return value === undefined ? "" : FORMATS[metric.kind](value);
}

/** An interval with its unit once: (71.84 to 73.59 %). */
function between(metric, bounds) {
  if (!bounds) return "";
  const [low, high] = bounds.map((bound) => show(metric, bound));
  return `(${low.split(" ")[0]} to ${high})`;
}

/** A probability; a draw of thousands knows no certainty. */
function percent(chance) {
  if (chance > 0.99) return "> 99 %";
  return chance < 0.01 ? "< 1 %" : `${Math.round(100 * chance)} %`;
}
