// The cameras: their newest pictures, and what the diagnostics say of them.
import { at, fill, make, note, pill } from "./making.js";
import { text } from "./texts.js";

const COLOURS = { ok: "good", warning: "warn", inactive: "", stale: "bad", frozen: "bad", lost: "bad", silent: "bad" };
const shown = new Map();

class Shown {
  constructor(name) {
    this.name = name;
    this.image = make("img");
    this.image.alt = name;
    this.image.hidden = true;
    this.state = pill("");
    this.nothing = make("p", "dim");
    this.view = make("div", "view", this.nothing, this.image, this.state);
    this.age = make("span", "dim");
    this.message = make("p", "dim");
    this.figure = make("figure", "", this.view, make("figcaption", "", make("b", "", name), this.age), this.message);
    this.figure.dataset.camera = name;
    this.waiting = null;
    this.address = null;
  }

  /** Show a picture; of those that come while one is being decoded, only the newest is shown. */
  show(blob) {
    if (this.address && !this.image.complete) {
      this.waiting = blob;
      return;
    }
    const before = this.address;
    this.address = URL.createObjectURL(blob);
    this.image.onload = this.image.onerror = () => {
      if (before) URL.revokeObjectURL(before);
      this.image.hidden = this.image.naturalWidth === 0;
      this.nothing.hidden = !this.image.hidden;
      const next = this.waiting;
      this.waiting = null;
      if (next) this.show(next);
    };
    this.image.src = this.address;
  }

  tell(camera, up) {
    const state = up ? camera.state : "lost";
    this.figure.dataset.state = state;
    this.view.classList.toggle("old", !["ok", "warning"].includes(state));
    this.state.className = `pill ${COLOURS[state] ?? ""}`;
    this.state.textContent = text(`states.${state}`);
    this.nothing.textContent = text("noPicture");
    const same = Number(camera.values.same_picture_s);
    this.message.textContent = ["ok", "inactive"].includes(camera.state) ? "" : camera.message;
    this.same = state === "frozen" && same > 0 ? text("same", same.toFixed(0)) : "";
  }

  tick(camera, sinceS) {
    const age = parseFloat(camera.values.age_s);
    this.age.textContent = [Number.isFinite(age) ? text("age", Math.max(0, age + sinceS).toFixed(1)) : "", this.same].filter(Boolean).join(" · ");
  }
}

/** Show what the diagnostics say. */
export function showCameras(diagnostics, up) {
  const cameras = diagnostics ? diagnostics.cameras : [];
  for (const name of shown.keys()) if (!cameras.some((one) => one.name === name)) shown.delete(name);
  for (const one of cameras) {
    if (!shown.has(one.name)) shown.set(one.name, new Shown(one.name));
    shown.get(one.name).tell(one, up);
  }
  const figures = cameras.map((one) => shown.get(one.name).figure);
  const parent = at("cameras");
  if (!figures.length) fill(parent, note(text("noCameras")));
  else if (figures.length !== parent.children.length || figures.some((one, i) => one !== parent.children[i])) fill(parent, ...figures);
  offerCameras(cameras.map((one) => one.name));
}

/** Let the age of each picture grow. */
export function tickCameras(diagnostics, sinceS) {
  for (const one of diagnostics ? diagnostics.cameras : []) shown.get(one.name)?.tick(one, sinceS);
}

/** Show a picture as the server sends it: length of a JSON object, the object, a JPEG file. */
export function showPicture(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  shown.get(head.camera)?.show(new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }));
}

function offerCameras(names) {
  const boxes = at("camera-boxes");
  const known = [...boxes.querySelectorAll("input")].map((one) => one.value);
  at("camera-choice").hidden = names.length < 2;
  if (known.length === names.length && known.every((one, i) => one === names[i])) return;
  fill(boxes, ...names.map((name) => {
    const input = make("input");
    input.type = "checkbox";
    input.value = name;
    return make("label", "box", input, make("span", "", name));
  }));
}
