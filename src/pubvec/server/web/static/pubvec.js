// Comforts on top of a page that works without them: filters that apply at once, select all, a streamed answer, the map.
"use strict";
document.documentElement.classList.add("js");

// A filter applies when it is chosen; the form lies elsewhere in the page, so the event does not pass through it.
document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.id === "select-all") {
    for (const box of document.querySelectorAll("input[name=select]")) box.checked = field.checked;
    rememberBoxes();
  } else if (field.name === "select") {
    rememberBoxes();
  } else if (field.form?.id === "search" && field.id !== "q") {
    field.form.requestSubmit();
  }
});

// Long lists are narrowed by what is typed above them, and values that are typed are suggested.
let waiting;
document.addEventListener("input", (event) => {
  const field = event.target;
  const typed = field.value.trim().toLowerCase();
  if (field.classList.contains("narrow")) {
    for (const item of field.closest(".more").querySelectorAll("li")) {
      item.hidden = !item.textContent.toLowerCase().includes(typed);
    }
  } else if (field.list) {
    clearTimeout(waiting);
    if (typed.length > 1 && ![...field.list.options].some((option) => option.value.toLowerCase() === typed)) {
      waiting = setTimeout(() => complete(field), 150);
    }
  }
});
async function complete(field) {
  try {
    const response = await fetch(`/suggest?${new URLSearchParams({ field: field.name, prefix: field.value.trim() })}`);
    if (!response.ok) return;
    field.list.replaceChildren(...(await response.json()).map(({ value, n }) => make("option", { value, label: `${value} (${n.toLocaleString("en")})` })));
  } catch { /* without suggestions the field works as well */ }
}

// What is left empty, or at its default, does not clutter the address.
document.addEventListener("formdata", (event) => {
  const defaults = { sort: "relevance", ranking: "hybrid", n: event.target.id === "search" ? "10" : "" };
  for (const name of new Set(event.formData.keys())) {
    const kept = event.formData.getAll(name).filter((value) => value !== "" && value !== defaults[name]);
    event.formData.delete(name);
    for (const value of kept) event.formData.append(name, value);
  }
});

// Keys: "/" search box, j and k next and previous hit, x select, ? syntax, Escape shuts what is open.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return shutSheets(event.target.closest("details[open].pop"));
  if (event.target.closest("input:not([type=checkbox]), select, textarea, canvas")) return;
  const act = {
    "/": () => document.getElementById("q")?.select(),
    j: () => moveBy(1),
    k: () => moveBy(-1),
    x: () => document.activeElement.closest(".hit")?.querySelector("input[name=select]").click(),
    "?": () => { const sheet = document.querySelector(".syntax"); sheet.open = !sheet.open; },
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

function moveBy(step) {
  const hits = [...document.querySelectorAll(".hit")];
  const here = hits.indexOf(document.activeElement.closest(".hit"));
  const next = hits[here < 0 ? (step > 0 ? 0 : -1) : here + step];
  next?.querySelector("h2 a").focus();
  next?.scrollIntoView({ block: "nearest" });
}

// A sheet shuts when something else is clicked.
function shutSheets(kept) {
  for (const sheet of document.querySelectorAll("details[open].pop")) {
    if (sheet === kept) sheet.querySelector("summary").focus();
    sheet.open = false;
  }
}
document.addEventListener("click", (event) => {
  for (const sheet of document.querySelectorAll("details[open].pop")) {
    if (!sheet.contains(event.target)) sheet.open = false;
  }
});

// The selection of this tab outlives paging; a bar at the bottom says how many articles it has.
const MOST_SELECTED = 1000; // an address holds no more
const FORMATS = { ris: "RIS", bib: "BibTeX", nbib: "nbib", json: "CSL-JSON", csv: "CSV", jsonl: "JSON Lines", txt: "PMIDs" };
function read(key, store = localStorage) {
  try { return JSON.parse(store.getItem(key)) ?? []; } catch { return []; }
}
function write(key, value, store = localStorage) {
  try { store.setItem(key, JSON.stringify(value)); } catch { /* a browser that keeps nothing */ }
}
function rememberBoxes() {
  const chosen = new Set(read("selection", sessionStorage));
  for (const box of document.querySelectorAll(".hit input[name=select]")) {
    if (box.checked) chosen.add(box.value); else chosen.delete(box.value);
  }
  write("selection", [...chosen].slice(0, MOST_SELECTED), sessionStorage);
  showSelection();
}
function addToSelection(pmids) {
  const chosen = new Set([...read("selection", sessionStorage), ...pmids]);
  write("selection", [...chosen].slice(0, MOST_SELECTED), sessionStorage);
  showSelection();
}
function showSelection() {
  const chosen = read("selection", sessionStorage);
  const all = new Set(chosen);
  for (const box of document.querySelectorAll(".hit input[name=select]")) box.checked = all.has(box.value);
  const bar = document.getElementById("picked");
  bar.hidden = !chosen.length;
  if (!chosen.length) return bar.replaceChildren();
  const format = bar.querySelector("select") ?? make("select", { ariaLabel: "Format" },
    Object.entries(FORMATS).map(([value, text]) => make("option", { value, textContent: text })));
  const most = chosen.length === MOST_SELECTED ? ", the most" : "";
  bar.replaceChildren(
    make("span", { role: "status", textContent: `${chosen.length} selected${most}` }),
    format,
    make("button", { type: "submit", textContent: "Export" }),
    make("a", { href: `/?${chosen.slice(0, 500).map((pmid) => `pmid=${pmid}`).join("&")}`, textContent: "Show" }),
    make("button", { type: "button", id: "unselect", textContent: "Clear" }),
    ...chosen.map((pmid) => make("input", { type: "hidden", name: "select", value: pmid })),
  );
}
function make(name, fields = {}, children = []) {
  const element = document.createElement(name);
  Object.assign(element, fields);
  element.append(...children);
  return element;
}
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.id === "picked") form.action = `/export.${form.querySelector("select").value}`;
  if (form.id !== "export") return;
  // The boxes of this page are in the form; what was selected on other pages is added.
  for (const old of form.querySelectorAll(".elsewhere")) old.remove();
  const here = new Set([...document.querySelectorAll(".hit input[name=select]")].map((box) => box.value));
  for (const pmid of read("selection", sessionStorage)) {
    if (!here.has(pmid)) form.append(make("input", { type: "hidden", name: "select", value: pmid, className: "elsewhere" }));
  }
}, true);
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button, #save");
  if (button?.id === "unselect") {
    write("selection", [], sessionStorage);
    showSelection();
  } else if (button?.dataset.copy) {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    }
  } else if (button?.dataset.select) {
    addToSelection(button.dataset.select.split(" "));
  } else if (button?.id === "save") {
    event.preventDefault();
    const { name, feed } = button.dataset;
    const url = location.pathname + location.search;
    write("saved", [{ name, url, feed }, ...read("saved").filter((each) => each.url !== url)].slice(0, 200));
    button.replaceWith(make("span", { role: "status", textContent: "Saved. " }, [make("a", { href: "/saved", textContent: "See all" })]));
  } else if (button?.id === "forget") {
    write("history", []);
    showLists();
  } else if (button?.dataset.forget) {
    write("saved", read("saved").filter((each) => each.url !== button.dataset.forget));
    showLists();
  }
});

// Searches that this browser made, and those that its reader saved.
function remember() {
  const hits = document.querySelector(".results");
  if (!hits || !document.querySelector("ol.hits")) return;
  const parameters = new URLSearchParams(location.search);
  parameters.delete("offset");
  const url = `/?${parameters}`;
  const name = document.getElementById("results").textContent.trim();
  const count = document.querySelector(".count-line").textContent.trim();
  write("history", [{ name, url, count }, ...read("history").filter((each) => each.url !== url)].slice(0, 50));
}
function isOurs({ url }) {
  return typeof url === "string" && url.startsWith("/?");
}
function showLists() {
  const saved = document.getElementById("saved-list");
  if (saved) {
    const nothing = (text) => make("li", { className: "note", textContent: text });
    const items = read("saved").filter(isOurs).map(({ name, url, feed }) => {
      const button = make("button", { type: "button", textContent: "Remove", ariaLabel: `Remove ${name}` });
      button.dataset.forget = url;
      return make("li", {}, [make("a", { href: url, textContent: name }), make("a", { href: `/feed.rss${feed.slice(feed.indexOf("?"))}`, textContent: "RSS" }), button]);
    });
    saved.replaceChildren(...(items.length ? items : [nothing("No search is saved. “Save this search” stands under Options above the hits.")]));
    const past = read("history").filter(isOurs).map(({ name, url, count }) =>
      make("li", {}, [make("a", { href: url, textContent: name }), make("span", { className: "note", textContent: count })]));
    document.getElementById("history-list").replaceChildren(...(past.length ? past : [nothing("No search yet.")]));
  }
  const recent = document.getElementById("recent");
  const last = read("history").filter(isOurs).slice(0, 3);
  if (recent && last.length) {
    recent.replaceChildren("Last: ", ...last.map(({ name, url }) => make("a", { href: url, textContent: name.slice(0, 60) })));
    recent.hidden = false;
  }
}

// On paper every abstract is open.
addEventListener("beforeprint", () => {
  for (const whole of document.querySelectorAll(".hit details.whole:not([open])")) {
    whole.open = true;
    whole.dataset.printed = "yes";
  }
});
addEventListener("afterprint", () => {
  for (const whole of document.querySelectorAll("[data-printed]")) {
    whole.open = false;
    delete whole.dataset.printed;
  }
});

// Where what had the focus is gone, reading goes on at the heading of what came.
document.addEventListener("htmx:afterSettle", () => {
  if (document.activeElement === document.body) document.getElementById("results")?.focus({ preventScroll: true });
});

// The answer, written as it comes. In the capture phase, so that the link is not followed as well.
document.addEventListener("click", (event) => {
  const link = event.target.closest("#ask");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  event.stopPropagation();
  streamAnswer(link.dataset.ask);
}, true);

async function streamAnswer(url) {
  const box = document.getElementById("answer");
  const [words, note] = [box.querySelector(".words"), box.querySelector(".note")];
  box.hidden = false;
  words.textContent = "";
  box.querySelector(".sources").replaceChildren();
  note.textContent = "Reading the hits …";
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const lines = (rest + next.value).split("\n");
      rest = lines.pop();
      for (const line of lines) showPiece(JSON.parse(line), words, note);
    }
  } catch (error) {
    note.textContent = `No answer: ${error.message}.`;
  }
}

function showPiece(piece, words, note) {
  if (piece.type === "text") words.append(piece.text);
  else if (piece.type === "citation") words.append(footnoteOf(piece));
  else note.textContent = piece.note ?? piece.message;
  if (piece.type !== "answer") return;
  words.replaceChildren(...piece.blocks.map(elementOf)); // the Markdown, now that it is whole
  words.parentElement.querySelector(".sources").replaceChildren(...piece.sources.map((source) => make("li", {}, [
    make("a", { href: `/articles/${source.pmid}`, textContent: source.title }), " ",
    make("span", { className: "source", textContent: source.sentence }),
  ])));
}

// Only these elements are made of what a language model wrote; all else is text.
const ELEMENTS = new Set("p strong em s ul ol li blockquote h3 table thead tbody tr th td code pre br hr".split(" "));
function elementOf(node) {
  if (typeof node === "string") return node;
  if (node.number) return footnoteOf(node);
  return ELEMENTS.has(node.tag) ? make(node.tag, {}, node.children.map(elementOf)) : "";
}

function footnoteOf({ pmid, number, label }) {
  const hit = document.getElementById(`hit-${pmid}`);
  const link = make("a", { className: "footnote", textContent: number, ariaLabel: `Source ${number}` });
  link.href = hit ? `#hit-${pmid}` : `/articles/${pmid}`;
  link.title = label ?? hit?.querySelector("h2").textContent ?? `PMID ${pmid}`;
  return link;
}

// The map draws what the list below it says.
function drawMap(canvas) {
  const pen = canvas.getContext("2d");
  const tip = document.getElementById("tip");
  const shapes = [...document.querySelectorAll(".shape path")].map((path) => new Path2D(path.getAttribute("d")));
  const names = [...document.querySelectorAll(".group .name")].map((name) => name.textContent);
  const places = [...document.querySelectorAll(".place")].map((item) => ({
    x: Number(item.dataset.x), y: Number(item.dataset.y), group: Number(item.dataset.group),
    link: item.querySelector("a"), source: item.querySelector(".source").textContent,
  }));
  const view = { x: 0, y: 0, zoom: 1 };
  let near = null;
  let drag = null;
  let labels = []; // boxes of the names on the canvas
  const details = [...document.querySelectorAll("details.group")];
  const isFaded = (group) => details.some((each) => each.open) && !details[group].open;
  for (const each of details) each.addEventListener("toggle", () => draw());

  const sorted = (key) => places.map((place) => place[key]).sort((a, b) => a - b);
  const [xs, ys] = [sorted("x"), sorted("y")];
  const middle = { x: (xs[0] + xs.at(-1)) / 2, y: (ys[0] + ys.at(-1)) / 2 };

  // Pixels a unit: all fit, with room for names; the flatter side may be stretched to twice the other's scale.
  function scales() {
    const x = (canvas.clientWidth - 150) / Math.max(xs.at(-1) - xs[0], 0.01);
    const y = (canvas.clientHeight - 90) / Math.max(ys.at(-1) - ys[0], 0.01);
    return [Math.min(x, 2 * y) * view.zoom, Math.min(y, 2 * x) * view.zoom];
  }
  function toScreen({ x, y }) {
    const [sx, sy] = scales();
    return [
      canvas.clientWidth / 2 + (x - middle.x - view.x) * sx,
      canvas.clientHeight / 2 - (y - middle.y - view.y) * sy,
    ];
  }

  function draw() {
    if (!canvas.isConnected) return;
    const ratio = window.devicePixelRatio || 1;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const size = Math.min(1.6, 0.75 * Math.sqrt(view.zoom));
    for (const place of [...places].reverse()) { // the best hit on top
      const [x, y] = toScreen(place);
      pen.setTransform(ratio * size, 0, 0, ratio * size, x * ratio, y * ratio);
      pen.globalAlpha = isFaded(place.group) ? 0.1 : 0.72;
      pen.fillStyle = color(`--g${place.group}`);
      pen.fill(shapes[place.group]);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.globalAlpha = 1;
    drawNames(color);
    if (near) drawRing(near, color("--ink"));
  }

  function drawRing(place, color) {
    const [x, y] = toScreen(place);
    pen.strokeStyle = color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 10, 0, 7);
    pen.stroke();
  }

  // The thickest part of a group: its highest point and its middle on screen.
  function crownOf(group) {
    const own = places.filter((place) => place.group === group).map(toScreen);
    const around = own.map((at) => own.filter((other) => Math.hypot(other[0] - at[0], other[1] - at[1]) < 60));
    const thickest = around.reduce((best, each) => (each.length > best.length ? each : best));
    const ordered = thickest.map((at) => at[0]).sort((a, b) => a - b);
    return [ordered[ordered.length >> 1], Math.min(...thickest.map((at) => at[1]))];
  }

  // A name stands above its group, moved up where another one stands already.
  function drawNames(color) {
    const taken = [];
    pen.font = `600 13px ${color("--text")}`;
    pen.textAlign = "center";
    pen.lineJoin = "round";
    names.forEach((whole, group) => {
      const name = canvas.clientWidth < 600 ? whole.split(" · ")[0] : whole;
      const half = pen.measureText(name).width / 2 + 6;
      const [middle, top] = crownOf(group);
      if (middle < 0 || middle > canvas.clientWidth) return;
      const x = Math.max(half, Math.min(canvas.clientWidth - half - 52, middle));
      let y = Math.max(18, top - 11);
      while (taken.some((box) => Math.abs(box.y - y) < 19 && Math.abs(box.x - x) < box.half + half)) y -= 19;
      taken.push({ x, y, half, group });
      pen.globalAlpha = isFaded(group) ? 0.45 : 1;
      pen.lineWidth = 5;
      pen.strokeStyle = color("--raised");
      pen.strokeText(name, x, y);
      pen.fillStyle = color(`--g${group}`);
      pen.fillText(name, x, y);
    });
    pen.globalAlpha = 1;
    labels = taken;
  }

  function zoomBy(factor, at = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
    if (!factor) {
      Object.assign(view, { x: 0, y: 0, zoom: 1 });
    } else {
      const zoom = Math.max(1, Math.min(40, view.zoom * factor));
      const [sx, sy] = scales();
      const shift = 1 - view.zoom / zoom;
      view.x += (at[0] - canvas.clientWidth / 2) / sx * shift;
      view.y -= (at[1] - canvas.clientHeight / 2) / sy * shift;
      view.zoom = zoom;
    }
    point(null);
  }

  function point(place, at) {
    near = place;
    tip.hidden = !place;
    canvas.style.cursor = place ? "pointer" : "";
    if (place) {
      tip.textContent = `${place.link.textContent} ${place.source}`;
      tip.style.left = `${Math.min(at[0] + 14, Math.max(0, canvas.clientWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${Math.min(at[1] + 14, Math.max(0, canvas.clientHeight - tip.offsetHeight - 8))}px`;
    }
    draw();
  }

  function nearest(x, y) {
    let best = null;
    let least = 14 ** 2;
    for (const place of places) {
      const [px, py] = toScreen(place);
      const gap = (px - x) ** 2 + (py - y) ** 2;
      if (gap < least) [best, least] = [place, gap];
    }
    return best;
  }

  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, y: event.offsetY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return point(nearest(event.offsetX, event.offsetY), [event.offsetX, event.offsetY]);
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    if (!drag.moved && dx * dx + dy * dy < 16) return;
    const [sx, sy] = scales();
    view.x -= dx / sx;
    view.y += dy / sy;
    drag = { x: event.offsetX, y: event.offsetY, moved: true };
    point(null);
  });
  canvas.addEventListener("pointerup", (event) => {
    const wasMoved = drag?.moved;
    drag = null;
    if (wasMoved) return;
    const place = nearest(event.offsetX, event.offsetY);
    const label = labels.find((box) => Math.abs(box.x - event.offsetX) < box.half && Math.abs(box.y - 5 - event.offsetY) < 11);
    if (label && !place) details[label.group].open = !details[label.group].open;
    else if (place && (event.pointerType === "mouse" || place === near)) place.link.click();
    else point(place, [event.offsetX, event.offsetY]);
  });
  canvas.addEventListener("pointerleave", () => { if (!drag) point(null); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, [event.offsetX, event.offsetY]);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 0.15 / view.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) {
      view.x += moves[event.key][0];
      view.y += moves[event.key][1];
      point(null);
    } else if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0") zoomBy(0);
    else if (event.key === "Escape") point(null);
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoomBy(Number(button.dataset.zoom)));
  }
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function start() {
  showSelection();
  remember();
  showLists();
  const canvas = document.querySelector("#map:not([data-drawn])");
  if (!canvas) return;
  canvas.dataset.drawn = "yes";
  drawMap(canvas);
}
document.addEventListener("htmx:load", start);
start();
