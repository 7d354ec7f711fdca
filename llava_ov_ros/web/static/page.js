// The page: hears the server's events, keeps the state, and shows what has changed.
import { said, showAnswers, showGrowing, startAsking } from "./answers.js";
import { showCameras, showPicture, tickCameras } from "./cameras.js";
import { at, fill, fillTexts, folded, make, note, pill } from "./making.js";
import { showHint, showPlans, startGoals } from "./plans.js";
import { askForToken, notice } from "./sending.js";
import { choose, language, text } from "./texts.js";

const MOST_ANSWERS = 100, MOST_PLANS = 20, MOST_EVIDENCE = 300;
const LEVELS = { OK: "good", WARN: "warn", ERROR: "bad", STALE: "bad" };
const isOpen = new Set();
let state = null, heardAt = 0, connected = false, wait = 500, socket = null, spoken = "";

function put(list, one, most) {
  list.push(one);
  if (list.length > most) list.shift();
}

function grow(list, one) {
  const index = list.findIndex((known) => known.request_id === one.request_id);
  if (index < 0) list.push(one);
  else list[index] = one;
}

const without = (list, name) => list.filter((one) => one.request_id !== name);

const TAKES = {
  state(event) {
    state = event.state;
    heardAt = performance.now();
    if (event.dropped) notice(text("droppedNotice", event.dropped));
    showAll();
  },
  node(event) {
    state.node = event.node;
    if (!event.node.up) state.hint = null;
    showLink();
    showCameras(state.diagnostics, state.node.up);
    showHint(state.hint, language());
  },
  diagnostics(event) {
    state.diagnostics = event.diagnostics;
    heardAt = performance.now();
    showCameras(state.diagnostics, state.node.up);
    tick();
    showDiagnostics();
  },
  growing(event) {
    grow(state.growing, event.growing);
    showGrowing(state);
  },
  answer(event) {
    const one = event.answer;
    const own = state.growing.some((known) => known.request_id === one.request_id && known.question);
    state.growing = without(state.growing, one.request_id);
    put(state.answers, one, MOST_ANSWERS);
    showGrowing(state);
    showAnswers(state);
    if (own) at("announce").textContent = one.status === "OK" ? text("answered", said(one)) : text("refused", `${one.status} ${one.message}`);
  },
  ask_lost(event) {
    const one = [...state.growing, ...state.growing_plans].find((known) => known.request_id === event.request_id);
    state.growing = without(state.growing, event.request_id);
    state.growing_plans = without(state.growing_plans, event.request_id);
    if (one) notice(text("lost", one.question || one.goal || "", event.message));
    showGrowing(state);
    showPlans(state);
  },
  growing_plan(event) {
    grow(state.growing_plans, event.growing_plan);
    showPlans(state);
  },
  plan(event) {
    state.growing_plans = without(state.growing_plans, event.plan.request_id);
    put(state.plans, event.plan, MOST_PLANS);
    showPlans(state);
  },
  hint(event) {
    state.hint = event.hint;
    showHint(state.hint, language());
  },
  standing(event) {
    state.standing = event.standing;
    showAnswers(state);
  },
  evidence(event) {
    put(state.evidence, event.evidence, MOST_EVIDENCE);
    showAnswers(state);
  },
};

function showLink() {
  const up = state && state.node.up;
  const link = at("link");
  link.className = `pill ${connected && up ? "good" : "bad"}`;
  const label = text(!connected ? "pageGone" : up ? "up" : "nodeGone");
  if (link.textContent !== label) link.textContent = label;
  at("node-name").textContent = state ? state.node.name : "llava_ov";
  const wanted = !connected ? "" : up ? "" : text("nodeGoneNotice", state ? state.node.message : "");
  // Seconds that count up are not worth a notice each.
  if (wanted.replace(/\d+/g, "") !== spoken) notice(wanted, "link-notice");
  spoken = wanted.replace(/\d+/g, "");
}

function showDiagnostics() {
  if (!state.diagnostics) {
    fill(at("diagnostics"), note(text("noDiagnostics")));
    return;
  }
  const parts = [["model", text("model")], ["queue", text("queue")]].filter(([part]) => state.diagnostics[part]).map(([part, name]) => [part, name, state.diagnostics[part]]);
  parts.push(...state.diagnostics.cameras.map((one) => [`camera ${one.name}`, text("camera", one.name), one]));
  fill(at("diagnostics"), ...parts.map(([part, name, one]) => {
    const values = Object.entries(one.values).flatMap(([key, value]) => [make("dt", "", key), make("dd", "", value)]);
    return make("div", "", make("div", "row spread", make("h3", "", name), pill(text(`levels.${one.level}`), LEVELS[one.level])),
      note(one.message), folded(`values ${part}`, one.topic || one.values.model || part, false, isOpen, make("dl", "", ...values)));
  }));
}

function tick() {
  tickCameras(state && state.diagnostics, (performance.now() - heardAt) / 1000);
}

function showAll() {
  showLink();
  if (!state) return;
  showCameras(state.diagnostics, state.node.up);
  tick();
  showGrowing(state);
  showAnswers(state);
  showPlans(state);
  showHint(state.hint, language());
  showDiagnostics();
}

const wantPictures = () => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ pictures: !document.hidden }));

async function connect() {
  const session = await fetch("api/session").catch(() => null);
  if (session && session.status === 401) await askForToken();
  socket = new WebSocket(new URL("api/events", location.href.replace(/^http/, "ws")));
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    connected = true;
    wait = 500;
    notice("", "link-notice");
    wantPictures();
  };
  socket.onmessage = (message) => {
    if (typeof message.data !== "string") showPicture(message.data);
    else {
      const event = JSON.parse(message.data);
      if (event.event in TAKES) TAKES[event.event](event);
    }
  };
  socket.onclose = (event) => {
    connected = false;
    showLink();
    notice(text(event.code === 1013 ? "tooMany" : "pageGoneNotice"), "link-notice");
    setTimeout(connect, wait);
    wait = Math.min(2 * wait, 8000);
  };
}

const kinds = startAsking(() => [...at("camera-boxes").querySelectorAll("input:checked")].map((one) => one.value));
startGoals();

function speak() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  fillTexts();
  kinds();
  showAll();
}

at("language").addEventListener("click", () => {
  choose(text("otherLang"));
  speak();
});
at("search").addEventListener("input", () => state && showAnswers(state));
document.addEventListener("visibilitychange", () => socket && wantPictures());
setInterval(tick, 500);
speak();
connect();
