// Answers: those that grow, the last hundred, and those of the standing questions.
import { at, bar, button, fill, folded, make, note, pill, sameTime, time } from "./making.js";
import { send } from "./sending.js";
import { language, text } from "./texts.js";

const FEW = 10;
const isOpen = new Set();
const cancelled = new Set();
const cards = new Map();
let all = false;

/** The value of an answer as people say it. */
export function said(answer) {
  if (answer.status === "OK" && answer.known && ["yes_no", "change"].includes(answer.kind)) return answer.text || text(answer.yes ? "yes" : "no");
  return answer.text;
}

function statusLine(answer) {
  if (answer.status === "OK") return answer.message ? note(answer.message) : null;
  return make("p", "dim", pill(answer.status, answer.status === "CANCELLED" ? "warn" : "bad"), " ", answer.message);
}

function frames(answer, evidence) {
  if (!answer.frames.length) return note(text("noFrames"));
  const lines = answer.frames.map((one) => make("li", "mono", `${one.camera}  ${time(one.stamp_used)}`, one.value_range ? `  ${one.value_range}` : ""));
  const pictures = evidence.map((one) => {
    const image = make("img", "sheet");
    image.src = `api/evidence/${one.number}`;
    image.alt = text("evidence", time(one.stamp));
    image.loading = "lazy";
    // The server keeps a hundred pictures.
    image.onerror = () => image.remove();
    return image;
  });
  const caption = pictures.length ? note(text("evidence", time(answer.header.stamp))) : null;
  return folded(`frames-${answer.number}`, text("frames", answer.frames.length), false, isOpen, make("ul", "frames", ...lines), caption, ...pictures);
}

function card(answer, evidence) {
  const one = make("article", "", make("h3", "", answer.question || text(`kinds.${answer.kind}`)));
  one.dataset.number = answer.number;
  if (said(answer)) one.append(make("p", "answer", said(answer)));
  const line = statusLine(answer);
  if (line) one.append(line);
  if (answer.choices.length) {
    const sorted = [...answer.choices].sort((a, b) => b.probability - a.probability);
    const bars = make("div", "bars", ...sorted.slice(0, 10).map((choice) => bar(choice.text, choice.probability)));
    bars.setAttribute("role", "group");
    bars.setAttribute("aria-label", text("compared"));
    one.append(bars);
  } else if (answer.text) {
    one.append(make("div", "bars", bar(text("sure"), answer.confidence)));
  }
  one.append(note(time(answer.answered_at), text("took", (answer.total_time_s || 0).toFixed(2)), text(`kinds.${answer.kind || "text"}`), answer.model));
  one.append(frames(answer, evidence));
  return one;
}

/** The card of an answer; the same one as before unless something of it has changed, so that its pictures stay. */
function cardOf(answer, evidence) {
  const of = evidence.filter((one) => sameTime(one.stamp, answer.header.stamp)).slice(-3);
  const now = [language(), answer.request_id, ...of.map((one) => one.number)].join(" ");
  if (cards.get(answer.number)?.now !== now) cards.set(answer.number, { now, made: card(answer, of) });
  return cards.get(answer.number).made;
}

/** Show the last answers, newest first, filtered by what is searched for. */
export function showAnswers(state) {
  const wanted = at("search").value.trim().toLowerCase();
  const found = state.answers.filter((one) =>
    [one.question, one.text, one.message, one.status].some((part) => part.toLowerCase().includes(wanted)));
  const newest = [...found].reverse();
  at("found").textContent = state.answers.length ? text("found", found.length, state.answers.length) : text("noAnswers");
  at("more").hidden = all || newest.length <= FEW;
  const shown = newest.slice(0, all ? newest.length : FEW).map((one) => cardOf(one, state.evidence));
  const before = at("answers").children;
  if (shown.length !== before.length || shown.some((one, i) => one !== before[i])) fill(at("answers"), ...shown);
  for (const number of cards.keys()) if (!state.answers.some((one) => one.number === number)) cards.delete(number);
  const standing = state.standing.map((question) => {
    const last = state.answers.findLast((one) => one.question === question);
    return make("li", "", make("h3", "", question), make("p", last ? "" : "dim", last ? said(last) || `${last.status}: ${last.message}` : text("notAsked")),
      last ? note(time(last.answered_at), `${Math.round(100 * (last.confidence || 0))} %`) : null);
  });
  at("standing-section").hidden = !standing.length;
  fill(at("standing"), ...standing);
}

/** Show the answers that grow. */
export function showGrowing(state) {
  fill(at("growing"), ...state.growing.map((one) => {
    const cancel = button(text("cancel"), async () => {
      cancelled.add(one.request_id);
      if (await send("DELETE", `asks/${encodeURIComponent(one.request_id)}`)) cancel.textContent = text("cancelled");
    }, "quiet");
    cancel.id = `cancel-${one.request_id}`;
    if (cancelled.has(one.request_id)) cancel.textContent = text("cancelled");
    const own = Boolean(one.question || one.kind);
    const box = make("article", "growing", make("h3", "", one.question || text(own ? `kinds.${one.kind}` : "waiting")),
      make("p", "answer", one.text), make("div", "row spread", note(text("working")), own ? cancel : null));
    box.dataset.request = one.request_id;
    return box;
  }));
  for (const name of cancelled) if (!state.growing.some((one) => one.request_id === name)) cancelled.delete(name);
}

/** Make the form of questions work. */
export function startAsking(cameraNames) {
  const kind = at("kind");
  const kinds = () => {
    const chosen = kind.value || "text";
    fill(kind, ...["text", "phrase", "yes_no", "change", "choice", "count"].map((name) => {
      const option = make("option", "", text(`kinds.${name}`));
      option.value = name;
      return option;
    }));
    kind.value = chosen;
  };
  kind.addEventListener("change", () => { at("choices-field").hidden = kind.value !== "choice"; });
  at("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    at("ask").requestSubmit();
  });
  at("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { question: at("question").value.trim(), kind: kind.value, cameras: cameraNames(), window_s: Number(at("window").value) || 0 };
    if (kind.value === "choice") body.choices = at("choices").value.split("\n").map((one) => one.trim()).filter(Boolean);
    if (await send("POST", "asks", body)) at("question").select();
  });
  at("more").addEventListener("click", () => {
    all = true;
    at("search").dispatchEvent(new Event("input"));
  });
  kinds();
  return kinds;
}
