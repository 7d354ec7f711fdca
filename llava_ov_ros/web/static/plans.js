// Plans with their steps and findings; the goal, its next step, and what became of it.
import { at, bar, button, fill, folded, make, note, pill, time } from "./making.js";
import { send } from "./sending.js";
import { text } from "./texts.js";

const OUTCOMES = { ACCEPTED: "good", REJECTED: "bad", CANNOT_TELL: "warn", DECOMPOSED: "warn", NONE: "bad" };
const STEPS = { OK: "good", WARNING: "warn", VIOLATION: "bad" };
const isOpen = new Set();
let shownHint = "";

const words = (step) => [step.action, ...step.arguments].join(" ");

function steps(list) {
  return make("ol", "steps", ...list.map((step, index) => {
    const found = step.message ? make("p", `dim ${STEPS[step.status] ?? ""}`, step.message, step.reasons.length ? ` (${step.reasons.join(", ")})` : "") : null;
    const mark = pill(text(`stepStatuses.${step.status}`), STEPS[step.status] ?? "");
    return make("li", "", make("span", "", String(step.number || index + 1)), make("div", "", make("span", "mono", words(step)), found), mark);
  }));
}

function list(title, entries) {
  return entries.length ? make("div", "", make("h3", "bad", title), make("ul", "", ...entries.map((one) => make("li", "dim", one)))) : null;
}

function plan(one, first) {
  const inside = [
    one.steps.length ? steps(one.steps) : null,
    one.sentences.length ? make("ol", "steps", ...one.sentences.map((line, i) => make("li", "", make("span", "", String(i + 1)), make("span", "", line), ""))) : null,
    list(text("problems"), one.problems),
    list(text("unread"), one.unread),
    one.steps.length ? note(one.accepted_by.length ? text("acceptedBy", one.accepted_by.join(", ")) : text("acceptedByNone"),
      text("vocabulary", one.vocabulary), one.repairs ? text("repairs", one.repairs) : "") : null,
    one.conditions ? note(text("conditions", one.conditions)) : null,
    one.text ? make("div", "bars", bar(text("sure"), one.confidence)) : null,
    note(time(one.answered_at), text("took", (one.total_time_s || 0).toFixed(2)), text("frames", one.frames.length), one.model),
  ];
  const follow = button(text("follow"), () => send("PUT", "goal", { goal: one.goal, plan_id: one.request_id }), "quiet");
  follow.id = `follow-${one.number}`;
  const made = make("article", "", make("div", "row spread", make("h3", "", one.goal), make("span", "row", one.source === "PLANNER" ? pill(text("planner")) : null, pill(text(`outcomes.${one.outcome}`), OUTCOMES[one.outcome] ?? ""))),
    one.status === "OK" && !one.message ? null : make("p", "dim", one.status === "OK" ? "" : `${one.status}: `, one.message),
    folded(`plan-${one.number}`, text("stepCount", one.steps.length || one.sentences.length), first, isOpen, ...inside),
    one.outcome === "ACCEPTED" ? make("div", "row", follow) : null);
  made.dataset.outcome = one.outcome;
  return made;
}

/** Show plans that are being made, and the last ones, newest first. */
export function showPlans(state) {
  fill(at("growing-plans"), ...state.growing_plans.map((one) => {
    const cancel = button(text("cancel"), () => send("DELETE", `plans/${encodeURIComponent(one.request_id)}`), "quiet");
    cancel.id = `cancel-${one.request_id}`;
    return make("article", "growing", make("h3", "", text("planning", one.goal)), steps(one.steps),
      make("div", "row spread", note(one.attempt ? text("attempt", one.attempt) : text("working")), cancel));
  }));
  const newest = [...state.plans].reverse();
  fill(at("plans"), ...(newest.length ? newest.map((one, index) => plan(one, index === 0)) : [note(text("noPlans"))]));
}

async function report(step, outcome, turn) {
  const response = await send("POST", "steps", { ...step, outcome, turn });
  if (response) at("announce").textContent = [response.message, ...response.unexpected].join(" ");
}

function next(hint) {
  const finding = hint.violations.length || hint.warnings.length
    ? make("ul", "", ...hint.violations.map((one) => make("li", "bad", one)), ...hint.warnings.map((one) => make("li", "warn", one))) : null;
  if (hint.hint === "DONE") return make("p", "next good", text("reached"));
  if (hint.hint === "CANNOT_TELL") return make("p", "next warn", text("cannotTell"));
  if (hint.hint === "NONE") return make("p", "next bad", text("noHint", `${hint.status}: ${hint.message}`));
  const step = { action: hint.action, arguments: hint.arguments };
  const done = button(text("done"), () => report(step, "DONE", hint.turn));
  const failed = button(text("failed"), () => report(step, "FAILED", hint.turn), "quiet");
  done.id = "step-done";
  failed.id = "step-failed";
  return make("div", "next", make("div", "row spread", make("span", "dim", text("nextStep")), hint.source === "PLANNER" ? pill(text("planner")) : null, hint.hint === "UNSURE" ? pill(text("unsure"), "warn") : null),
    make("p", "mono", hint.action ? words(hint) : hint.text || hint.message), make("div", "bars", bar(text("sure"), hint.confidence)), finding,
    hint.action ? make("div", "row", done, failed) : null);
}

/** Show the hint, where anything of it has changed. */
export function showHint(hint, language) {
  const now = JSON.stringify([hint && { ...hint, frames: 0, header: 0, answered_at: 0 }, language]);
  if (now === shownHint) return;
  shownHint = now;
  at("goal-clear").disabled = !hint;
  if (!hint) {
    fill(at("hint"), note(text("noGoal")));
    return;
  }
  const steps = hint.done.map((one, index) => {
    const undone = button(text("undone"), () => report({ step: one }, "UNDONE", hint.turn), "quiet");
    undone.id = `undone-${index}`;
    undone.setAttribute("aria-label", text("report", text("undone"), one));
    return make("li", "", make("span", "mono", one), undone);
  });
  fill(at("hint"), make("h3", "", text("forGoal", hint.goal)), next(hint),
    hint.failed.length ? note(text("failedSteps", hint.failed.join("; "))) : "",
    ...(steps.length ? [make("h3", "", text("doneSteps")), make("ul", "done steps-done", ...steps)] : []),
    note(text("turn", hint.turn), time(hint.answered_at)));
}

/** Make the form of the goal work. */
export function startGoals() {
  at("goal-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send("PUT", "goal", { goal: at("goal").value.trim() });
  });
  at("goal-plan").addEventListener("click", () => send("POST", "plans", { goal: at("goal").value.trim() }));
  at("goal-clear").addEventListener("click", () => send("DELETE", "goal"));
}
