"use strict";
// Draws what /events tells: samples scroll to the left at 25 mm/s, all strips share their time axis.
const MM = 96 / 25.4; // CSS px
const SPEED = 25 * MM; // px a second
const HEIGHT = 10 * MM; // px a mV
const MOST = 16384; // samples kept: what the widest screen shows at 500 Hz and more
const byId = (id) => document.getElementById(id);
const entries = []; // {time, sample, due, residual, score, alarm, patterns, broken, outside, band}
const unusual = []; // [from s, length s, score] of the events found
const EVENTS = 200; // kept
const AXIS = 44; // px that the numbers of the amplitude axis take
const STRONGEST = 12; // patterns shown: those that switch most
const RANKED = 5; // s between two rankings
let run = null, lastNumber = 0, neurons = 0, dirty = true, centre = null, colours = {};
let held = null, ranking = [], rankedAt = -Infinity; // held: what is shown while paused

function take(event) {
  if (event.run !== run) { // the server began afresh
    entries.length = unusual.length = 0;
    [run, lastNumber, neurons, centre, held, ranking, rankedAt] = [event.run, 0, 0, null, null, [], -Infinity];
    if (event.title) document.title = byId("title").textContent = event.title;
  }
  event.numbers.forEach((number, i) => {
    if (number <= lastNumber) return;
    const missed = number > lastNumber + 1 && lastNumber > 0;
    lastNumber = number;
    const before = entries[entries.length - 1];
    let time = event.time[i];
    if (time === null) time = before ? before.time : 0;
    if (before && (time < before.time || time > before.time + 30)) entries.length = unusual.length = 0; // another clock
    const [sample, residual] = [event.sample[i], event.residual[i]];
    entries.push({
      time, sample, residual, due: sample === null || residual === null ? null : sample - residual,
      score: event.score[i], alarm: event.alarm[i], patterns: event.patterns[i], outside: event.outside[i],
      band: event.band[i], broken: missed || event.emptied[i] !== "",
    });
    for (const neuron of event.patterns[i]) neurons = Math.max(neurons, neuron + 1);
  });
  unusual.push(...event.events);
  if (unusual.length > EVENTS) unusual.splice(0, unusual.length - EVENTS);
  if (entries.length > MOST) entries.splice(0, entries.length - MOST);
  show(event.ended ? "ended" : "live", event.malformed);
  dirty = true;
}

function show(state, malformed) {
  const words = { live: "live", lost: "connection lost, trying again", ended: "the stream has ended", waiting: "waiting" };
  const text = words[state] + (malformed ? `, ${malformed} malformed lines` : "");
  if (byId("state").textContent !== text) byId("state").textContent = text;
  byId("state").dataset.state = state;
}

function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

function grid(context, width, height, now) {
  for (const [step, colour] of [[MM, colours.fine], [5 * MM, colours.coarse]]) {
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    const shift = (now * SPEED) % step; // the grid scrolls with the signal, as paper does
    for (let x = width - shift; x > 0; x -= step) { context.moveTo(x, 0); context.lineTo(x, height); }
    for (let y = height / 2 % step; y < height; y += step) { context.moveTo(0, y); context.lineTo(width, y); }
    context.stroke();
  }
}

function line(context, shown, x, y, value, colour, thick, dashes) {
  context.strokeStyle = colour;
  context.lineWidth = thick;
  context.setLineDash(dashes);
  context.beginPath();
  let down = false;
  for (const entry of shown) {
    const v = value(entry);
    if (v === null || entry.broken) down = false;
    if (v === null) continue;
    if (down) context.lineTo(x(entry), y(v)); else context.moveTo(x(entry), y(v));
    down = true;
  }
  context.stroke();
  context.setLineDash([]);
}

// The interval that was made for each sample, as a band behind the traces.
function drawBand(context, shown, x, y) {
  context.fillStyle = colours.forecast;
  context.globalAlpha = 0.2;
  let run = [];
  const fill = () => {
    context.beginPath();
    for (const entry of run) context.lineTo(x(entry), y(entry.band[0]));
    for (const entry of run.reverse()) context.lineTo(x(entry), y(entry.band[1]));
    context.fill();
    run = [];
  };
  for (const entry of shown) {
    if (entry.broken || !entry.band) fill();
    if (entry.band) run.push(entry);
  }
  fill();
  context.globalAlpha = 1;
  byId("band").hidden = !shown.some((entry) => entry.band);
}

// The neurons whose state varies most, p (1 - p) of the share p of samples at which they are on: a pattern that is always on
// or always off tells nothing of the beat.
function rank(shown, now) {
  if (now - rankedAt < RANKED && ranking.length) return;
  const on = new Uint32Array(neurons);
  for (const entry of shown) for (const neuron of entry.patterns) on[neuron] += 1;
  const varies = (neuron) => on[neuron] * (shown.length - on[neuron]);
  ranking = [...on.keys()].sort((a, b) => varies(b) - varies(a) || a - b).slice(0, STRONGEST).sort((a, b) => a - b);
  rankedAt = now;
}

function drawPatterns(context, shown, x, width, height, now) {
  if (!neurons || !shown.length) return;
  rank(shown, now);
  const all = neurons > ranking.length ? `the ${ranking.length} of ${neurons} neurons that switch most` : "";
  byId("neurons").textContent = `${all || `${neurons} neurons`}: ${ranking.map((neuron) => neuron + 1).join(", ")}, from the top`;
  const columns = Math.ceil(width), rows = ranking.length;
  const place = new Map(ranking.map((neuron, row) => [neuron, row]));
  const counts = new Uint16Array(columns * rows), totals = new Uint16Array(columns);
  for (const entry of shown) {
    const column = Math.min(Math.max(Math.floor(x(entry)), 0), columns - 1);
    totals[column] += 1;
    for (const neuron of entry.patterns) if (place.has(neuron)) counts[place.get(neuron) * columns + column] += 1;
  }
  const image = new ImageData(columns, rows);
  const [red, green, blue] = colours.on.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
  for (let i = 0; i < counts.length; i += 1) {
    const total = totals[i % columns];
    image.data.set([red, green, blue, total ? Math.min(255 * counts[i] / total, 255) : 0], 4 * i);
  }
  const raster = new OffscreenCanvas(columns, rows);
  raster.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(raster, 0, 0, columns, rows, 0, 0, columns, height);
}

// Seconds below, whole millivolts at the left.
function axes(context, width, height, now) {
  context.fillStyle = colours.quiet;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  const every = width / SPEED > 8 ? 2 : 1;
  for (let second = Math.floor(now); second > now - width / SPEED; second -= 1) {
    const at = width - (now - second) * SPEED;
    if (second % every === 0 && at > 24 && at < width - 16) context.fillText(`${second} s`, at, height - 7);
  }
  context.textAlign = "left";
  const half = height / 2 / HEIGHT;
  for (let mv = Math.ceil(centre - half); mv < centre + half; mv += 1) {
    const at = height / 2 - (mv - centre) * HEIGHT;
    if (at > 10 && at < height - 14) context.fillText(`${mv} mV`, 4, at + 4);
  }
}

// Beats a minute from the steepest stretches of what is shown; null where there are too few. An estimate, not a detector.
function heartRate(shown) {
  const slopes = [];
  for (let i = 2; i < shown.length; i += 1) {
    const [a, b] = [shown[i - 2], shown[i]];
    if (a.sample !== null && b.sample !== null && !b.broken && b.time > a.time) {
      slopes.push([b.time, Math.abs(b.sample - a.sample) / (b.time - a.time)]);
    }
  }
  if (slopes.length < 200) return null;
  const high = slopes.map((one) => one[1]).sort((a, b) => a - b)[Math.floor(0.99 * slopes.length)];
  const peaks = [];
  for (const [time, slope] of slopes) {
    if (slope < high / 2) continue;
    if (!peaks.length || time - peaks[peaks.length - 1] > 0.3) peaks.push(time);
  }
  if (peaks.length < 4) return null;
  return 60 / median(peaks.slice(1).map((time, i) => time - peaks[i]));
}

function pause() {
  held = held ? null : entries.slice();
  byId("pause").textContent = held ? "go on" : "pause";
  byId("pause").setAttribute("aria-pressed", String(Boolean(held)));
  dirty = true;
}

function median(values) {
  return values.length ? values.sort((a, b) => a - b)[Math.floor(values.length / 2)] : 0;
}

function draw() {
  requestAnimationFrame(draw);
  if (!dirty) return;
  dirty = false;
  const [context, width, height] = prepare(byId("ecg"));
  const drawn = held ?? entries;
  const last = drawn[drawn.length - 1];
  const now = last ? last.time : 0;
  const shown = drawn.filter((entry) => entry.time > now - width / SPEED);
  const x = (entry) => width - (now - entry.time) * SPEED;
  const level = median(shown.map((entry) => entry.sample).filter((value) => value !== null));
  // The middle of the paper follows the baseline slowly, in whole tenths of a mV, so that the trace keeps to the grid.
  if (centre === null || Math.abs(level + 0.5 - centre) > 0.3) centre = Math.round((level + 0.5) * 10) / 10;
  grid(context, width, height, now);
  axes(context, width, height, now);
  const y = (value) => height / 2 - (value - centre) * HEIGHT;
  drawEvents(context, height, shown, x);
  drawBand(context, shown, x, y);
  line(context, shown, x, y, (entry) => entry.sample, colours.signal, 1.4, []);
  line(context, shown, x, y, (entry) => entry.due, colours.forecast, 1.1, [3, 2]);
  context.fillStyle = colours.alarm;
  for (const entry of shown) {
    if (!entry.alarm) continue;
    context.beginPath();
    context.moveTo(x(entry) - 5, 2);
    context.lineTo(x(entry) + 5, 2);
    context.lineTo(x(entry), 11);
    context.fill();
  }
  context.fillStyle = colours.outside;
  for (const entry of shown) if (entry.outside) context.fillRect(x(entry) - 1, height - 5, 2, 5);
  const sizes = shown.map((entry) => Math.abs(entry.residual ?? 0));
  const most = [0.05, 0.1, 0.2, 0.5, 1, 2, 5].find((limit) => sizes.every((size) => size <= limit)) ?? 10;
  byId("residual-scale").textContent = `full height ±${most} mV`;
  const [second, , low] = prepare(byId("residuals"));
  second.strokeStyle = colours.line;
  second.beginPath();
  second.moveTo(0, low / 2);
  second.lineTo(width, low / 2);
  second.stroke();
  line(second, shown, x, (v) => low / 2 - v / most * (low / 2 - 2), (entry) => entry.residual, colours.forecast, 1, []);
  const [third, , short] = prepare(byId("scores"));
  for (const entry of shown) {
    if (entry.score === null || entry.score <= 1) continue;
    const tall = Math.min(Math.log10(entry.score) / 2, 1) * (short - 2);
    third.fillStyle = entry.alarm ? colours.alarm : colours.quiet;
    third.fillRect(x(entry) - 0.5, short - tall, entry.alarm ? 2 : 1, tall);
  }
  const [fourth, , tall] = prepare(byId("patterns"));
  drawPatterns(fourth, shown, x, width, tall, now);
  tell(last, shown);
}

function onScreen(shown) { // events over samples that are drawn
  if (!shown.length) return [];
  const [first, last] = [shown[0].time, shown[shown.length - 1].time];
  return unusual.filter(([from, length]) => from <= last && from + length > first);
}

function drawEvents(context, height, shown, x) {
  context.font = "bold 11px system-ui, sans-serif";
  context.textAlign = "left";
  for (const [from, length, score] of onScreen(shown)) {
    const left = x({ time: Math.max(from, shown[0].time) });
    const right = x({ time: Math.min(from + length, shown[shown.length - 1].time) });
    context.fillStyle = colours.event;
    context.globalAlpha = 0.16;
    context.fillRect(left, 0, right - left, height);
    context.globalAlpha = 1;
    context.fillRect(left, 0, right - left, 2);
    const [words, at] = [score.toFixed(0), Math.max(left, AXIS) + 3]; // beside the numbers of the axis, below alarms
    if (at + context.measureText(words).width <= right) context.fillText(words, at, 24);
  }
}

function tell(last, shown) {
  if (!last) return;
  const number = (value, unit, digits) => (value === null ? "–" : `${value.toFixed(digits)}${unit}`);
  byId("time").textContent = number(last.time, " s", 1);
  byId("sample").textContent = last.sample === null ? "missing" : number(last.sample, " mV", 2);
  byId("residual").textContent = number(last.residual, " mV", 3);
  byId("score").textContent = number(last.score, "", 1);
  byId("active").textContent = neurons ? `${last.patterns.length} of ${neurons}` : "–";
  const rate = heartRate(shown);
  byId("rate").textContent = rate === null ? "–" : `${rate.toFixed(0)}/min`;
  byId("alarms").textContent = String(shown.filter((entry) => entry.alarm).length);
  byId("events").textContent = String(onScreen(shown).length);
  byId("outside").textContent = String(shown.filter((entry) => entry.outside).length);
}

function recolour() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["fine", "coarse", "signal", "forecast", "alarm", "event", "outside", "on", "quiet", "line"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
  dirty = true;
}

recolour();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
byId("pause").addEventListener("click", pause);
addEventListener("resize", () => { dirty = true; });
const source = new EventSource("events");
source.onmessage = (message) => take(JSON.parse(message.data));
source.onerror = () => show("lost");
requestAnimationFrame(draw);
