"use strict";
const WORST = ["CRASHED", "HUNG", "STRUCTURE", "NONFINITE", "MISMATCH", "MISSING", "CONVENTION", "APPROXIMATION", "LESS_ACCURATE", "NO_SIGNAL", "AGREES", "IDENTICAL", "–"];
const by = (id) => document.getElementById(id);
const choices = (id) => [...by(id).options].slice(1).map((option) => option.value);
const DTYPES = choices("dtype"), AXES = choices("axis");
const DENORMAL = AXES.indexOf("denormal"), NONE = WORST.indexOf("–");
const list = document.getElementById("list");
const ops = [...list.children].map((element, place) => ({
  element, place, text: element.dataset.text, family: element.dataset.family,
  found: JSON.parse(element.dataset.found), trouble: element.dataset.trouble, choice: ",",
}));
const grade = (verdict) => WORST.indexOf(verdict) >= 10 ? "pass" : WORST.indexOf(verdict) < 5 ? "fail" : "warn";
let sorted = "";

function units(x) {
  if (x === null) return "–";
  if (x >= 1e300) return "∞";
  return x < 1e3 ? String(Number(x.toPrecision(2))) : x.toExponential(1);
}

// The worst verdict of each quantity and the greatest errors, at a dtype and an axis; "" is all of them.
function summarise(op, dtype, axis) {
  const verdicts = Array(4).fill(op.trouble ? WORST.indexOf(op.trouble) : NONE);
  const errors = [null, null];
  const at = DTYPES.indexOf(dtype), along = AXES.indexOf(axis);
  for (const [cellDtype, cellAxis, quantity, verdict, ...both] of op.found) {
    if (dtype && cellDtype !== at || (axis ? cellAxis !== along : cellAxis === DENORMAL)) continue;
    verdicts[quantity] = Math.min(verdicts[quantity], verdict);
    both.forEach((error, side) => { if (error !== null) errors[side] = Math.max(errors[side] ?? 0, error); });
  }
  return {verdicts: verdicts.map((place) => WORST[place]), errors};
}

function show() {
  const words = by("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdict = by("verdict").value, family = by("family").value;
  const dtype = by("dtype").value, axis = by("axis").value, choice = `${dtype},${axis}`;
  let count = 0;
  for (const op of ops) {
    op.summary = op.choice === choice && op.summary || summarise(op, dtype, axis);
    const {verdicts, errors} = op.summary;
    const visible = words.every((word) => op.text.includes(word)) &&
      (!family || op.family === family) && (!verdict || verdicts.includes(verdict));
    op.element.hidden = !visible;
    count += visible;
    if (op.choice === choice) continue;
    op.choice = choice;
    const badges = op.element.querySelectorAll("summary .badge");
    verdicts.forEach((word, i) => {
      badges[i].textContent = word;
      badges[i].className = word === "–" ? "badge" : `badge ${grade(word)}`;
    });
    op.element.querySelector("[data-side=torch]").textContent = units(errors[0]);
    op.element.querySelector("[data-side=jax]").textContent = units(errors[1]);
  }
  by("shown").textContent = `${count} operation${count === 1 ? "" : "s"}`;
  const value = (op) => {
    const {verdicts, errors} = op.summary;
    if (sorted === "torch" || sorted === "jax") return -(errors[sorted === "torch" ? 0 : 1] ?? -1);
    return sorted === "" ? op.place : WORST.indexOf(verdicts[Number(sorted)]);
  };
  const order = [...ops].sort((a, b) => value(a) - value(b) || a.place - b.place);
  if (order.some((op, i) => list.children[i] !== op.element)) list.append(...order.map((op) => op.element));
}

function draw(op) {
  const place = op.element.querySelector(".chart");
  if (!op.element.dataset.curves || place.dataset.drawn) return;
  place.dataset.drawn = "yes";
  const curves = JSON.parse(op.element.dataset.curves);
  const label = document.createElement("label");
  const choice = document.createElement("select");
  for (const name of Object.keys(curves)) choice.add(new Option(name, name));
  choice.value = "float32 vjp" in curves ? "float32 vjp" : Object.keys(curves)[0];
  label.append("Errors in ULP over the domain: ", choice);
  const picture = document.createElement("div");
  place.append(label, picture);
  const paint = () => { picture.innerHTML = plot(curves[choice.value], op.element.querySelector(".op-name").firstChild.textContent, choice.value); };
  choice.addEventListener("change", paint);
  paint();
  place.hidden = false;
}

function plot([x, torch, jax], name, which) {
  const width = 640, height = 220, left = 44, bottom = 26, top = 10, right = 12;
  const low = x[0], high = x[x.length - 1];
  const log = (e) => Math.log10(Math.max(Math.min(e, 1e20), 0.1));
  const most = Math.max(1, ...torch.map(log), ...jax.map(log));
  const px = (v) => left + (v - low) / (high - low || 1) * (width - left - right);
  const py = (e) => height - bottom - (log(e) + 1) / (most + 1) * (height - bottom - top);
  const text = name.replace(/[<>&"]/g, " ");
  const parts = [];
  const step = Math.ceil((most + 1) / 5);
  for (let k = -1; k <= most; k += step) {
    const y = py(10 ** k);
    parts.push(`<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/><text x="${left - 6}" y="${y + 4}" text-anchor="end">1e${k}</text>`);
  }
  for (const v of [low, (low + high) / 2, high]) parts.push(`<text x="${px(v)}" y="${height - 8}" text-anchor="${v === low ? "start" : v === high ? "end" : "middle"}">${Number(v.toPrecision(3))}</text>`);
  for (const [side, errors] of [["torch", torch], ["jax", jax]]) {
    parts.push(`<path class="${side}" d="M${x.map((v, i) => `${px(v).toFixed(1)} ${py(errors[i]).toFixed(1)}`).join("L")}"/>`);
  }
  parts.push(`<text class="torch" x="${width - right - 90}" y="${top + 8}">PyTorch</text><text class="jax" x="${width - right - 30}" y="${top + 8}">JAX</text>`);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Errors of ${text} in units in the last place, ${which}">${parts.join("")}</svg>`;
}

document.querySelector(".tools").hidden = false;
for (const id of ["search", "verdict", "family", "axis", "dtype"]) by(id).addEventListener("input", show);
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    sorted = button.dataset.sort;
    for (const other of document.querySelectorAll("[data-sort]")) other.setAttribute("aria-pressed", String(other === button));
    show();
  });
}
for (const op of ops) op.element.addEventListener("toggle", () => { if (op.element.open) draw(op); });
const target = () => { const element = location.hash && by(location.hash.slice(1)); if (element && element.matches(".op")) element.open = true; };
addEventListener("hashchange", target);
target();
show();
