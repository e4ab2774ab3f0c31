"use strict";
// Every text goes into the page as text, never as markup; nothing is computed but what is shown when.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const PAGE = 25;
let shown = PAGE;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function fill(table, header, side, rows, rowClass = () => "") {
  const head = element("thead"), body = element("tbody"), top = element("tr");
  header.forEach((name, column) => {
    const cell = element("th", name, side[column]);
    cell.scope = "col";
    top.append(cell);
  });
  head.append(top);
  rows.forEach((row, number) => {
    const line = element("tr", undefined, rowClass(row, number));
    row.forEach((text, column) => {
      const cell = element(column ? "td" : "th", text, side[column]);
      if (!column) cell.scope = "row";
      line.append(cell);
    });
    body.append(line);
  });
  table.replaceChildren(head, body);
}

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, label]) => {
    const option = element("option", label);
    option.value = value;
    return option;
  }));
}

// The page's own colour of this name, which follows the system's dark mode.
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Plotly reads a little markup in its texts.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const point = (name) => data.plane.points.find((entry) => entry.strategy === name);
const arms = ([middle, low, high]) => low === null || high === null ? [0, 0] : [high - middle, middle - low];

// All marks; the chosen strategy alone carries its intervals, the models and references alone their names.
function traces() {
  const vertices = data.plane.mixture.map(point);
  const mostExpensive = Math.max(...data.plane.points.map((entry) => entry.cost[0]));
  const last = vertices[vertices.length - 1];
  const mixture = {
    name: "mixture of models", mode: "lines", line: { color: colourOf("--ink"), dash: "dash", width: 1.2 }, hoverinfo: "skip",
    x: [...vertices.map((entry) => entry.cost[0]), mostExpensive], y: [...vertices.map((entry) => entry.quality[0]), last.quality[0]],
  };
  const marks = data.plane.points.filter((entry) => entry.strategy !== "mixture").map((entry) => {
    const tone = entry.kind === "strategy" ? entry.colour : colourOf("--soft");  // models and references stay visible in the dark
    const [right, left] = arms(entry.cost), [up, down] = arms(entry.quality);
    const bar = { type: "data", symmetric: false, thickness: 1, width: 0, color: entry.colour, visible: entry.strategy === at("strategy").value };
    return {
      name: plain(entry.label), customdata: [entry.strategy],
      mode: entry.kind === "strategy" ? "markers" : "markers+text", text: [plain(entry.label)], textfont: { size: 10, color: colourOf("--soft") },
      textposition: entry.cost[0] > 0.7 * mostExpensive ? "bottom left" : "bottom right",
      x: [entry.cost[0]], y: [entry.quality[0]],
      error_x: { ...bar, array: [right], arrayminus: [left] }, error_y: { ...bar, array: [up], arrayminus: [down] },
      marker: { color: tone, size: 9, symbol: entry.symbol, line: { width: 1, color: entry.kind === "strategy" ? colourOf("--paper") : tone } },
      hovertemplate: "%{y:.3f} quality<br>%{x:.3s} USD per million tasks<extra>" + plain(entry.label) + "</extra>",
    };
  });
  return [mixture, ...marks];
}

function drawPlane() {
  const narrow = window.innerWidth < 640;
  const curve = data.curves[at("strategy").value], place = Number(at("threshold").value);
  const chosen = point(at("strategy").value);
  const colour = chosen ? chosen.colour : colourOf("--ink");
  const moving = [
    { name: "chosen, all thresholds", mode: "lines", x: curve.cost, y: curve.quality, line: { color: colour, width: 2 }, hoverinfo: "skip", showlegend: false },
    { name: "chosen, this threshold", mode: "markers", x: [curve.cost[place]], y: [curve.quality[place]], showlegend: false,
      marker: { color: "rgba(0,0,0,0)", size: 18, line: { color: colour, width: 3 } }, hoverinfo: "skip" },
  ];
  const layout = {
    margin: { l: 55, r: 10, t: 10, b: 45 }, font: { family: "system-ui, sans-serif", size: 12, color: colourOf("--ink") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: { title: { text: "Mean cost (USD per million tasks)" }, rangemode: "tozero", zeroline: false, gridcolor: colourOf("--faint") },
    yaxis: { title: { text: "Mean quality" }, zeroline: false, gridcolor: colourOf("--faint") },
    showlegend: !narrow, legend: { font: { size: 11 } }, hovermode: "closest",
  };
  Plotly.react("plane", [...traces(), ...moving], layout, { displaylogo: false, responsive: true, displayModeBar: false });
}

function showPoint() {
  const name = at("strategy").value, curve = data.curves[name], place = Number(at("threshold").value);
  const text = curve.thresholds[place] === null ? "none" : curve.thresholds[place];
  at("threshold-text").textContent = text;
  at("threshold").setAttribute("aria-valuetext", "threshold " + text);
  const rows = curve.domains.map((entry) => [entry.domain, entry.tasks, ...entry.cells[place]]);
  const header = ["domain", "tasks", ...data.measures];
  fill(at("point"), header, "l" + "r".repeat(header.length - 1), rows, (row, number) => number ? "" : "overall");
  drawPlane();
}

function chooseStrategy() {
  const name = at("strategy").value, curve = data.curves[name], slider = at("threshold");
  slider.max = curve.thresholds.length - 1;
  slider.disabled = curve.thresholds.length < 2;
  at("reset").disabled = slider.disabled;
  slider.value = curve.at;
  at("chosen-by").textContent = slider.disabled ? "This strategy has no threshold."
    : "Operating threshold " + curve.thresholds[curve.at] + ": " + curve.chosen_by + ".";
  for (const row of at("board").querySelectorAll("tbody tr"))
    row.classList.toggle("chosen", row.firstChild.textContent === (point(name) || {}).label);
  showPoint();
  shown = PAGE;
  showTasks();
}

const VIEWS = [
  ["all", "all tasks", () => true],
  ["differ", "models differ", (row) => new Set(row.quality).size > 1],
  ["most_expensive", "only the most expensive model is right", (row) => row.quality.slice(0, -1).every((q) => q < 1) && row.quality.at(-1) === 1],
  ["cheaper", "a cheaper model is better than the most expensive one", (row) => Math.max(...row.quality.slice(0, -1)) > row.quality.at(-1)],
  ["missed", "at its operating point the strategy served less than the best", (row) => served(row) < Math.max(...row.quality)],
  ["none", "no model is right", (row) => row.quality.every((q) => q < 1)],
];

function served(row) {
  const place = row.served[data.tasks.strategies.indexOf(at("strategy").value)];
  return place === undefined || place < 0 ? Infinity : row.quality[place];
}

function grade(quality) {
  const word = quality === 1 ? "right" : quality === 0 ? "wrong" : quality === null ? "failed" : "partly";
  return [word === "partly" ? "partly right, " + quality.toFixed(2) : word, word];
}

function taskDetails(row) {
  const details = element("details"), summary = element("summary", row.task + "  "), place = row.served[data.tasks.strategies.indexOf(at("strategy").value)];
  row.quality.forEach((quality, number) => {
    const [, word] = grade(quality);
    const mark = element("span", { right: "✓", wrong: "✗", partly: "~", failed: "!" }[word], word);
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", data.tasks.models[number] + ": " + word);
    summary.append(mark, " ");
  });
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const inside = element("div");
    const part = (title, text, className) => inside.append(element("h3", title, className), element("pre", text));
    if (row.question !== undefined) part("question", row.question);
    else inside.append(element("p", "The text of this task is not on the machine that built this report; experiments.prepare makes it.", "note"));
    if (row.reference !== undefined) part("reference", row.reference);
    row.answers.forEach((answer, number) => {
      const [words, className] = grade(row.quality[number]);
      part(data.tasks.models[number] + ": " + words + (number === place ? " (served at the operating point)" : ""), answer === null ? "" : answer, className);
    });
    details.append(inside);
  });
  return details;
}

function holds(row, words) {
  return !words || [row.task, row.question, row.reference, ...row.answers].some((text) => text && text.toLowerCase().includes(words));
}

function showTasks() {
  const view = VIEWS.find(([name]) => name === at("right").value)[2];
  const domain = at("domain").value, words = at("search").value.toLowerCase();
  const rows = data.tasks.rows.filter((row) => (!domain || row.domain === domain) && holds(row, words) && view(row));
  at("matching").textContent = rows.length + " of " + data.tasks.rows.length + " evaluation tasks. Marks, in order: " + data.tasks.models.join(", ") + ".";
  at("tasks").replaceChildren(...rows.slice(0, shown).map(taskDetails));
  at("more").hidden = rows.length <= shown;
}

at("about").textContent = data.about;
at("finding").textContent = data.finding;
at("tiles").replaceChildren(...data.tiles.map((tile) => {
  const made = element("div");
  made.append(element("strong", tile.value), element("span", tile.interval, "note"), element("span", tile.words));
  return made;
}));
fill(at("board"), data.board.header, data.board.side, data.board.rows);
fill(at("kinds"), data.kinds.header, data.kinds.side, data.kinds.rows);
at("of-kinds").hidden = data.kinds.rows.length === 0;
fill(at("claims"), data.claims.header, data.claims.side, data.claims.rows);
options(at("strategy"), Object.keys(data.curves).map((name) => [name, (point(name) || { label: name }).label]));
options(at("domain"), [["", "all"], ...[...new Set(data.tasks.rows.map((row) => row.domain))].sort().map((name) => [name, name])]);
options(at("right"), VIEWS);
at("strategy").value = data.leader;
at("strategy").addEventListener("change", chooseStrategy);
at("threshold").addEventListener("input", showPoint);
at("reset").addEventListener("click", () => { at("threshold").value = data.curves[at("strategy").value].at; showPoint(); });
for (const id of ["domain", "right", "search"]) at(id).addEventListener("input", () => { shown = PAGE; showTasks(); });
at("more").addEventListener("click", () => { shown += PAGE; showTasks(); });
chooseStrategy();
at("plane").on("plotly_click", (event) => {
  const name = (event.points[0].data.customdata || [])[0];
  if (name in data.curves) { at("strategy").value = name; chooseStrategy(); }
});
window.addEventListener("resize", drawPlane);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlane);
