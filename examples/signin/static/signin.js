"use strict";
// Forms with data-ceremony get options for a key from the server, have the browser ask it, and send its answer back.

const problem = document.getElementById("problem");
const dialog = document.getElementById("touch");
const cancel = document.getElementById("cancel");

for (const form of document.querySelectorAll("form[data-ceremony]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    const controller = new AbortController();
    cancel.onclick = dialog.oncancel = () => controller.abort(); // oncancel is by Escape
    dialog.showModal();
    try {
      const wanted = Object.fromEntries(new FormData(form));
      location.assign(await ceremony(form.dataset.ceremony, wanted, controller.signal));
    } catch (error) {
      problem.textContent = explain(error);
    } finally {
      dialog.close();
    }
  });
}

/** ceremony resolves to where to go next. */
async function ceremony(kind, wanted, signal) {
  const options = await post(`/webauthn/${kind}/options`, wanted, signal);
  if (options.location) return options.location; // the session has ended
  const credential = await askKey(kind, options.publicKey, signal);
  return (await post(`/webauthn/${kind}`, credential)).location;
}

function askKey(kind, options, signal) {
  if (!window.PublicKeyCredential) throw new Error("This browser cannot use security keys.");
  if (kind === "register") {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({ publicKey, signal });
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({ publicKey, signal });
}

/** post sends a value; for a credential, JSON.stringify calls its toJSON. */
async function post(path, value, signal) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(value), signal });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function explain(error) {
  switch (error.name) {
    case "AbortError":
      return "Cancelled.";
    case "InvalidStateError":
      return "This key is registered already.";
    case "NotAllowedError": // browsers say no more; keyfob does
      return error.keyfob ? `That did not work: ${error.keyfob.hint}.` : "That did not work. Is it the right key?";
    default:
      return error.message;
  }
}
