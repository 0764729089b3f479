"use strict";
// Shows the helper's events and questions, whose members docs/helper-protocol.md specifies. Names of keys and accounts come
// from elsewhere, so they are only ever text.

const [site, status, note, fields, ok, cancel] = ["site", "status", "note", "fields", "ok", "cancel"].map((id) =>
  document.getElementById(id),
);
const form = document.querySelector("form");
let read = null; // returns the answer that the fields hold, undefined if they hold none

const touches = {
  register: "to register it",
  authenticate: "to sign in",
  verify: "to show that it is you: with your finger, or the PIN on the key itself",
  select: "to choose it",
};

const views = {
  request: ({ origin, topOrigin }) => {
    site.textContent = `Security key for ${host(origin)}${topOrigin ? `, inside ${host(topOrigin)}` : ""}`;
    say("Looking for your key …");
  },
  insert: () => say("Plug in your security key."),
  select: () => say("Several keys blink: touch the one that you want to use."),
  keys: ({ change, error }) => {
    if (change === "dropped" && error) note.textContent = `${sentence(error.message)} ${sentence(error.hint)}`;
    if (change === "added") note.textContent = "";
  },
  touch: ({ key, reason }) => say(`Touch ${key.name} ${touches[reason]}.`),
  processing: ({ key }) => say(`${key.name} is busy …`),
  touched: ({ key }) => say(`${key.name} was touched.`),
  retry: ({ retries }) => {
    note.textContent = `Not recognized: try again.${retries === undefined ? "" : ` ${times(retries)} left.`}`;
  },
  pin: (question) => {
    say(`Enter the PIN of ${question.key.name}.`, pinNote(question));
    const pin = password("PIN");
    ask(() => pin.value || undefined);
  },
  newPin: (question) => {
    const { minLength, maxLength } = question;
    say(`Choose a PIN for ${question.key.name}, of ${minLength} to ${maxLength} characters.`, newPINNote(question));
    const [pin, again] = [password("New PIN"), password("The same again")];
    ask(() => {
      if (pin.value === again.value) return pin.value || undefined;
      note.textContent = "The two are not the same.";
      pin.value = again.value = "";
      pin.focus();
      return undefined;
    });
  },
  account: ({ accounts }) => {
    say("Which account?");
    accounts.forEach((account, index) => radio(index, account));
    ask(() => Number(new FormData(form).get("account")));
  },
  failure: ({ hint, message }) => {
    say("That did not work.", hint ? sentence(hint) : sentence(message));
    cancel.textContent = "Close";
    cancel.focus();
  },
};

const pinNotes = {
  invalid: "That was not the PIN.",
  repeated: "The key has rejected this PIN already.",
  tooShort: "That is too short to be the PIN.",
  tooLong: "That is too long to be the PIN.",
  insteadOfUV: "The key did not recognize you.",
};

function pinNote({ reason, retries }) {
  const left = retries === undefined ? "" : `${times(retries)} left before the key is locked.`;
  return reason === "needed" && retries > 3 ? "" : `${pinNotes[reason] ?? ""} ${left}`.trim();
}

const newPINNotes = {
  forced: "The key wants another PIN before it goes on.",
  rejected: "The key does not accept this one.",
  tooShort: "That is too short.",
  tooLong: "That is too long.",
};

function newPINNote({ reason, policyUrl }) {
  return `${newPINNotes[reason] ?? ""} ${policyUrl ? `Its rules: ${policyUrl}` : ""}`.trim();
}

function say(text, more = "") {
  status.textContent = text;
  note.textContent = more;
  fields.replaceChildren();
  ok.hidden = true;
  read = null;
}

function ask(reader) {
  read = reader;
  ok.hidden = false;
  fields.querySelector("input").focus();
}

function field(type, text) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = type;
  label.append(...(type === "radio" ? [input, ` ${text}`] : [text, input]));
  fields.append(label);
  return input;
}

function password(text) {
  const input = field("password", text);
  input.autocomplete = "off";
  return input;
}

function radio(index, { name, displayName }) {
  const both = name && displayName && name !== displayName;
  const nameless = `Account ${index + 1}, without a name`; // keys tell names to verified users only
  const text = both ? `${displayName} (${name})` : displayName || name || nameless;
  Object.assign(field("radio", text), { name: "account", value: index, checked: index === 0 });
}

const host = (origin) => origin.replace(/^https:\/\//, "");
const times = (n) => (n === 1 ? "1 try" : `${n} tries`);
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const value = read?.();
  if (value === undefined) return;
  say("One moment …");
  window.main.answer(value);
});
cancel.addEventListener("click", () => window.main.cancel());
document.addEventListener("keydown", ({ key }) => key === "Escape" && window.main.cancel());
window.main.onShow((message) => views[message.event ?? message.ask ?? message.type]?.(message));
