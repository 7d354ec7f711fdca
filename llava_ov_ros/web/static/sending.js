// Requests to the API, and the notice of what was refused.
import { at } from "./making.js";
import { text } from "./texts.js";

/** Show a notice of what was refused, or of the link to node and server; an empty one goes. */
export function notice(message, name = "notice") {
  at(name).textContent = message;
  at(name).hidden = !message;
}

/** Ask for the token, and come back when the server has taken it. */
export function askForToken() {
  const dialog = at("token-dialog");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    at("token-form").onsubmit = async (event) => {
      event.preventDefault();
      const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: at("token").value }) };
      const response = await fetch("api/session", options).catch(() => null);
      at("token-wrong").hidden = Boolean(response && response.ok);
      if (!response || !response.ok) return;
      at("token").value = "";
      dialog.close();
      resolve();
    };
  });
}

/** Send a request; the JSON object of the response ({} where it has none), or null with a notice where it was refused. */
export async function send(method, path, body) {
  const options = { method };
  if (body !== undefined) Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  try {
    const response = await fetch(`api/${path}`, options);
    const answer = await response.json().catch(() => ({}));
    if (response.status === 401) {
      await askForToken();
      return send(method, path, body);
    }
    notice(response.ok ? "" : text("failedRequest", answer.error || answer.message || response.status));
    return response.ok ? answer : null;
  } catch {
    notice(text("pageGoneNotice"));
    return null;
  }
}
