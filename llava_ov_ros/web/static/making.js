// Makes elements. What the node says becomes text nodes only, never HTML.
import { text } from "./texts.js";

/** The element of an id. */
export const at = (id) => document.getElementById(id);

/** An element with a class, and with texts or elements in it. */
export function make(name, kind, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** A button. */
export function button(label, onClick, kind = "") {
  const made = make("button", kind, label);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

/** Put new children into an element; what has the focus gets it back if an element of its id is there again. */
export function fill(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.id : "";
  parent.replaceChildren(...children);
  if (focused && at(focused)) at(focused).focus();
}

/** A bar for a share from 0 to 1, with a label before and the percentage behind. */
export function bar(label, share) {
  const known = Math.min(1, Math.max(0, share || 0));
  const inner = make("b");
  inner.style.width = `${100 * known}%`;
  return make("div", "bar", make("span", "", label), make("i", "", inner), make("span", "", `${(100 * known).toFixed(0)} %`));
}

const two = (number, digits = 2) => String(number).padStart(digits, "0");

/** A stamp as the time of day, or as seconds where it is of a simulated time. */
export function time(stamp) {
  if (stamp.sec < 1e9) return `${stamp.sec}.${two(Math.floor(stamp.nanosec / 1e6), 3)} s`;
  const day = new Date(1000 * stamp.sec);
  return `${two(day.getHours())}:${two(day.getMinutes())}:${two(day.getSeconds())}.${two(Math.floor(stamp.nanosec / 1e6), 3)}`;
}

/** Whether two stamps are the same. */
export const sameTime = (one, other) => one.sec === other.sec && one.nanosec === other.nanosec;

/** A label in a colour. */
export const pill = (label, colour = "") => make("span", `pill ${colour}`, label);

/** A paragraph in small grey print. */
export const note = (...parts) => make("p", "dim", parts.filter(Boolean).join(" · "));

/** Something to be opened, with an id for the focus and for whether it is open. */
export function folded(id, label, open, isOpen, ...children) {
  const made = make("details", "", make("summary", "", label), make("div", "", ...children));
  made.open = isOpen.has(id) || open;
  made.firstChild.id = id;
  made.addEventListener("toggle", () => (made.open ? isOpen.add(id) : isOpen.delete(id)));
  return made;
}

/** Fill the fixed texts of the page in. */
export function fillTexts() {
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = text(one.dataset.text);
  for (const one of document.querySelectorAll("[data-placeholder]")) one.placeholder = text(one.dataset.placeholder);
  at("language").textContent = text("other");
  at("language").lang = text("otherLang");
}
