"use strict";

// Everything that comes from a model is put on the page as text, never as markup.

const PAGE_SIZE = 20;
const STATES = ["wrong", "between", "right", "unscored"];
const LEFT = { question: 1, state: 2, score: 3, repeat: 4, answer: 5, finish: 6, prompt: 7, generated: 8, latency: 9 };

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function setUpTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  });
}

function sortValue(cell, kind) {
  if (kind === "text") return cell.textContent.trim();
  return cell.dataset.value ? Number(cell.dataset.value) : null;
}

// Empty cells come last in both directions.
function compare(one, other, kind, direction) {
  if (one === null || other === null) return (one === null) - (other === null);
  return direction * (kind === "text" ? one.localeCompare(other, "en", { numeric: true }) : one - other);
}

function setUpSorting(table) {
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const kind = button.dataset.kind;
      const before = head.getAttribute("aria-sort");
      const first = kind === "number" ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = before === first ? second : first;
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const direction = order === "ascending" ? 1 : -1;
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [sortValue(row.cells[head.cellIndex], kind), row]);
      rows.sort((one, other) => compare(one[0], other[0], kind, direction));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function setUpFilter(input) {
  const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
  const count = document.querySelector(`[data-counts="${input.dataset.filters}"]`);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, place) => (row.hidden = !words.every((word) => texts[place].includes(word))));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };
  input.addEventListener("input", apply);
  apply();
}

async function unpack(id) {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function metricsTable(content) {
  const digits = (value) => (value === null ? "" : value.toFixed(4));
  const columns = ["deployment", "subtask", "metric", "value", "stderr", "95 % interval", "n"];
  const right = (place) => (place > 2 ? { class: "right" } : {});
  const rows = content.deployments.flatMap((deployment) =>
    deployment.metrics.map(([subtask, name, value, stderr, low, high, n]) => {
      const interval = low === null || high === null ? "" : `${digits(low)} to ${digits(high)}`;
      const cells = [deployment.name, subtask || "", name, digits(value), digits(stderr), interval, String(n)];
      return element("tr", {}, ...cells.map((text, place) => element("td", right(place), text)));
    }),
  );
  const heads = columns.map((text, place) => element("th", { scope: "col", ...right(place) }, text));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
  return element("div", { class: "scroll" }, table);
}

function textBlock(title, text) {
  const shown = text === null ? "(none)" : text === "" ? "(empty)" : text;
  return element("div", {}, element("h4", {}, title), element("pre", { class: "text" }, shown));
}

function sampleBlock(content, row) {
  const [task, docId, prompt, expected] = content.questions[row[LEFT.question]];
  const state = row[LEFT.state];
  const score = row[LEFT.score];
  const label = element("span", { class: `state ${state === "right" ? "right-answer" : state}` }, state);
  const facts = [content.deployments[row[0]].name, `${content.several ? `${task} ` : ""}sample ${docId}`];
  if (row[LEFT.repeat]) facts.push(`repeat ${row[LEFT.repeat]}`);
  if (score !== null) facts.push(`score ${Number(score.toFixed(4))}`);
  if (row[LEFT.finish]) facts.push(`finish ${row[LEFT.finish]}`);
  if (row[LEFT.generated] !== null) facts.push(`${row[LEFT.prompt]} + ${row[LEFT.generated]} tokens`);
  if (row[LEFT.latency] !== null) facts.push(`${row[LEFT.latency]} s`);
  const head = element("div", {}, label, element("span", { class: "note" }, ` ${facts.join(" · ")}`));
  const texts = [textBlock("prompt", prompt), textBlock("answer", row[LEFT.answer]), textBlock("expected", expected)];
  return element("div", { class: "sample" }, head, element("div", { class: "texts" }, ...texts));
}

function choice(label, options) {
  const select = element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
  return [element("label", {}, `${label} `, select), select];
}

function searchable(content, row) {
  const question = content.questions[row[LEFT.question]];
  return [...question, row[LEFT.answer]].map((text) => text ?? "").join("\n").toLowerCase();
}

function browse(place, content) {
  const all = content.deployments.reduce((sums, one) => {
    for (const [state, count] of Object.entries(one.counts)) sums[state] = (sums[state] || 0) + count;
    return sums;
  }, {});
  const names = content.deployments.map((one, number) => [String(number), one.name]);
  const states = STATES.filter((state) => all[state]).map((state) => [state, `${state} (${all[state]} in all)`]);
  const [deploymentLabel, deployment] = choice("Deployment", [["", "all"], ...names]);
  const [stateLabel, state] = choice("Answers", [["", "all, wrong first"], ...states]);
  const search = element("input", { type: "search", placeholder: "text", autocomplete: "off" });
  const count = element("span", { class: "note", role: "status" });
  const list = element("div", { class: "samples" });
  const more = element("button", { type: "button" }, "Show more");
  let found = [];
  let shown = 0;
  const showMore = () => {
    const blocks = found.slice(shown, shown + PAGE_SIZE).map((row) => sampleBlock(content, row));
    list.append(...blocks);
    // The question itself stands at the end of a prompt with examples.
    const prompts = blocks.map((block) => block.querySelector("pre"));
    const heights = prompts.map((prompt) => prompt.scrollHeight);
    prompts.forEach((prompt, place) => (prompt.scrollTop = heights[place]));
    shown = Math.min(found.length, shown + PAGE_SIZE);
    more.hidden = shown >= found.length;
    count.textContent = `${shown} of ${found.length} shown`;
  };
  const texts = new Map();
  const contains = (row, text) => {
    if (!texts.has(row)) texts.set(row, searchable(content, row));
    return texts.get(row).includes(text);
  };
  const apply = () => {
    const text = search.value.toLowerCase();
    found = content.samples.filter(
      (row) =>
        (deployment.value === "" || row[0] === Number(deployment.value)) &&
        (state.value === "" || row[LEFT.state] === state.value) &&
        (text === "" || contains(row, text)),
    );
    shown = 0;
    list.replaceChildren();
    showMore();
  };
  [deployment, state].forEach((select) => select.addEventListener("change", apply));
  search.addEventListener("input", apply);
  more.addEventListener("click", showMore);
  const damage = content.deployments
    .filter((one) => one.damage)
    .map((one) => element("p", { class: "bad" }, `The samples of ${one.name} could not be read: ${one.damage}`));
  const controls = [deploymentLabel, stateLabel, element("label", {}, "Containing ", search), count];
  place.replaceChildren(metricsTable(content), ...damage, element("div", { class: "controls" }, ...controls), list, more);
  apply();
}

function setUpTask(section) {
  const place = section.querySelector(".browser");
  if (place === null) return;
  let asked = false;
  place.replaceChildren();
  const open = async () => {
    if (!section.open || asked) return;
    asked = true;
    try {
      const content = await unpack(section.dataset.samples);
      // A score's place in the order of the page: the worst of all deployments first.
      content.samples.sort((one, other) => STATES.indexOf(one[LEFT.state]) - STATES.indexOf(other[LEFT.state]));
      content.several = new Set(content.questions.map(([task]) => task)).size > 1;
      browse(place, content);
    } catch (error) {
      place.replaceChildren(element("p", { class: "bad" }, `The samples could not be unpacked: ${error}`));
    }
  };
  section.addEventListener("toggle", open);
  open();
}

function openTarget() {
  const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

// The marks of the charts say in words what they show.
function setUpHints() {
  document.addEventListener("mouseover", ({ target }) => {
    if (!(target instanceof SVGElement) || !target.hasAttribute("aria-label") || target.querySelector("title")) return;
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = target.getAttribute("aria-label");
    target.append(title);
  });
}

setUpTheme();
setUpHints();
document.querySelectorAll("table.sortable").forEach(setUpSorting);
document.querySelectorAll("input[data-filters]").forEach(setUpFilter);
document.querySelectorAll("details.task").forEach(setUpTask);
addEventListener("hashchange", openTarget);
openTarget();
