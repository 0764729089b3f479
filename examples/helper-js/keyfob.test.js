"use strict";
// Run by "node --test", against the program that KEYFOB names and the virtual key that it has.

const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");
const vm = require("node:vm");
const { Helper, base64url, buffer, credentialFromJSON, optionsToJSON } = require("./keyfob.js");

const command = process.env.KEYFOB ?? "keyfob";
const page = { origin: "https://login.example.org" };
const challenge = crypto.randomBytes(32);

let directory, device, served;

before(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "keyfob-"));
  device = `unix:${path.join(directory, "key")}`;
  served = await serve(path.join(directory, "key"));
});

after(() => {
  served.kill();
  fs.rmSync(directory, { recursive: true });
});

/** serve plays a key at a socket. */
function serve(socket) {
  const key = spawn(command, ["virtual", "serve", "--unix", socket], { stdio: ["ignore", "ignore", "pipe"] });
  return new Promise((resolve, reject) => {
    key.on("exit", () => reject(new Error("the virtual key ended")));
    key.stderr.on("data", (text) => String(text).includes("ready") && resolve(key));
  });
}

/** start returns a helper for the virtual key, and its events. */
function start(t, options = {}, where = device) {
  const events = [];
  const helper = new Helper({
    command,
    args: ["--device", where],
    onEvent: (event) => events.push(event),
    ...options,
  });
  t.after(() => helper.close());
  return { helper, events };
}

const creation = (more = {}) => ({
  challenge,
  rp: { id: "example.org", name: "Example" },
  user: { id: new TextEncoder().encode("alice"), name: "alice", displayName: "Alice" },
  pubKeyCredParams: [{ type: "public-key", alg: -7 }],
  ...more,
});

const clientData = (credential) => JSON.parse(Buffer.from(credential.response.clientDataJSON));

function verify(publicKey, { authenticatorData, clientDataJSON, signature }) {
  const hash = crypto.createHash("sha256").update(Buffer.from(clientDataJSON)).digest();
  const signed = Buffer.concat([Buffer.from(authenticatorData), hash]);
  const key = { key: Buffer.from(publicKey), format: "der", type: "spki" };
  return crypto.verify("sha256", signed, key, Buffer.from(signature));
}

test("a credential is made and used, as in a browser", async (t) => {
  const { helper, events } = start(t);
  const made = await helper.create({ publicKey: creation() }, page);
  assert.equal(made.type, "public-key");
  assert.equal(made.authenticatorAttachment, "cross-platform");
  assert.equal(made.id, base64url(made.rawId));
  assert.ok(made.rawId instanceof ArrayBuffer);
  assert.ok(made.response.attestationObject instanceof ArrayBuffer);
  assert.ok(made.response.getAuthenticatorData() instanceof ArrayBuffer);
  assert.equal(made.response.getPublicKeyAlgorithm(), -7);
  assert.deepEqual(made.response.getTransports(), ["usb"]);
  assert.deepEqual(made.getClientExtensionResults(), {});
  assert.deepEqual(clientData(made), {
    type: "webauthn.create",
    challenge: base64url(challenge),
    origin: page.origin,
    crossOrigin: false,
  });
  assert.deepEqual(events.map((e) => e.event).filter((e) => e === "keys" || e === "touched"), ["keys", "touched"]);
  assert.equal(made.toJSON().response.attestationObject, base64url(made.response.attestationObject));

  const publicKey = { challenge, rpId: "example.org", allowCredentials: [{ type: "public-key", id: made.rawId }] };
  const used = await helper.get({ publicKey }, page);
  assert.equal(used.id, made.id);
  assert.equal(used.response.userHandle, null);
  assert.ok(verify(made.response.getPublicKey(), used.response));
  used.response.signature = used.response.signature.slice(0, -1);
  assert.ok(!verify(made.response.getPublicKey(), used.response));
});

test("options as a server sends them, in JSON, do as well", async (t) => {
  const { helper } = start(t);
  const options = JSON.parse(JSON.stringify(optionsToJSON(creation())));
  options.authenticatorSelection = { residentKey: "required", requireResidentKey: true };
  const made = await helper.create({ publicKey: options }, page);
  const used = await helper.get({ publicKey: { challenge: base64url(challenge), rpId: "example.org" } }, page);
  assert.equal(used.id, made.id);
  assert.equal(Buffer.from(used.response.userHandle).toString(), "alice");
});

test("topOrigin makes the ceremony one of a frame", async (t) => {
  const { helper } = start(t);
  const made = await helper.create({ publicKey: creation() }, { ...page, topOrigin: "https://portal.example.net" });
  assert.equal(clientData(made).topOrigin, "https://portal.example.net");
  assert.equal(clientData(made).crossOrigin, true);
});

test("a secret is derived, the same one each time", async (t) => {
  const { helper } = start(t);
  const made = await helper.create({ publicKey: creation({ extensions: { hmacCreateSecret: true } }) }, page);
  assert.deepEqual(made.getClientExtensionResults(), { hmacCreateSecret: true });
  const credentials = [{ id: made.rawId, salts: [new Uint8Array(32)] }];
  const request = { rpId: "example.org", credentials, userVerification: "discouraged" };
  const first = await helper.derive(request);
  const second = await helper.derive(request, page);
  assert.equal(first.secrets[0].byteLength, 32);
  assert.deepEqual(new Uint8Array(first.secrets[0]), new Uint8Array(second.secrets[0]));
  assert.equal(base64url(first.credentialId), made.id);
});

test("extension results have ArrayBuffers where the API has", () => {
  const clientExtensionResults = { prf: { enabled: true, results: { first: "AQID" } }, largeBlob: { blob: "AA" } };
  const json = { id: "AA", rawId: "AA", type: "public-key", response: { clientDataJSON: "e30" }, clientExtensionResults };
  const results = credentialFromJSON(json).getClientExtensionResults();
  assert.deepEqual(new Uint8Array(results.prf.results.first), Uint8Array.of(1, 2, 3));
  assert.equal(results.prf.results.second, undefined);
  assert.equal(results.largeBlob.blob.byteLength, 1);
  assert.deepEqual(credentialFromJSON(json).toJSON(), json);
});

test("null in JSON is as good as nothing", () => {
  const response = { clientDataJSON: "e30", authenticatorData: "AA", signature: "AA", userHandle: null };
  const credential = credentialFromJSON({ id: "AA", rawId: "AA", type: "public-key", response });
  assert.equal(credential.response.userHandle, null);
});

test("base64url and buffer are inverse, for all views", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assert.deepEqual(new Uint8Array(buffer(base64url(bytes))), bytes);
  assert.equal(base64url(bytes.subarray(250, 253)), "-vv8");
  assert.equal(base64url(new DataView(bytes.buffer, 250, 3)), "-vv8");
  assert.equal(base64url(new ArrayBuffer(0)), "");
  assert.deepEqual(optionsToJSON({ a: [bytes.subarray(0, 1)], b: null, c: "x", d: Buffer.from([255]) }), {
    a: ["AA"],
    b: null,
    c: "x",
    d: "_w",
  });
});

test("the PIN is asked for, with the retries that are left", async (t) => {
  const socket = path.join(directory, "pin");
  const key = await serve(socket);
  t.after(() => key.kill());
  const file = path.join(directory, "the-pin");
  fs.writeFileSync(file, "pin 1234\n");
  execFileSync(command, ["pin", "set", "--device", `unix:${socket}`, "--pin-file", file], { stdio: "ignore" });
  const asked = [];
  const pin = (question) => {
    asked.push([question.reason, question.retries]);
    return asked.length === 1 ? "wrong" : "pin 1234";
  };
  const { helper } = start(t, { pin }, `unix:${socket}`);
  const selection = { authenticatorSelection: { userVerification: "required" } };
  const made = await helper.create({ publicKey: creation(selection) }, page);
  assert.deepEqual(asked, [["needed", 8], ["invalid", 7]]);
  assert.ok(new DataView(made.response.getAuthenticatorData()).getUint8(32) & 0x04, "the user was verified");

  const nobody = start(t, {}, `unix:${socket}`).helper;
  await assert.rejects(nobody.create({ publicKey: creation(selection) }, page), { name: "NotAllowedError" });
  const broken = start(t, { pin: () => Promise.reject(new RangeError("no dialog")) }, `unix:${socket}`).helper;
  await assert.rejects(broken.create({ publicKey: creation(selection) }, page), { message: "no dialog" });
});

test("the user chooses between accounts", async (t) => {
  const { helper } = start(t, {
    account: ({ accounts }, signal) => {
      assert.ok(signal instanceof AbortSignal);
      return answer(accounts.map((account) => Buffer.from(buffer(account.id)).toString()));
    },
  });
  let answer = (names) => names.indexOf("bob");
  for (const name of ["bob", "carol"]) {
    const user = { id: new TextEncoder().encode(name), name, displayName: name };
    const selection = { residentKey: "required" };
    const rp = { id: "accounts.example.org", name: "" };
    await helper.create({ publicKey: creation({ user, rp, authenticatorSelection: selection }) }, {
      origin: "https://accounts.example.org",
    });
  }
  const publicKey = { challenge, rpId: "accounts.example.org" };
  const used = await helper.get({ publicKey }, { origin: "https://accounts.example.org" });
  assert.equal(Buffer.from(used.response.userHandle).toString(), "bob");
  answer = (names) => names.length;
  const where = { origin: "https://accounts.example.org" };
  await assert.rejects(helper.get({ publicKey }, where), { name: "TypeError", message: "value: 2, want 0 to 1" });
});

test("errors are those of a browser", async (t) => {
  const { helper } = start(t, { origins: [page.origin] });
  const made = await helper.create({ publicKey: creation() }, page);
  const excludeCredentials = [{ type: "public-key", id: made.rawId }];
  const cases = [
    [{ publicKey: creation({ excludeCredentials }) }, page, "InvalidStateError", "excluded"],
    [{ publicKey: creation({ rp: { id: "example.net", name: "" } }) }, page, "SecurityError", "security"],
    [{ publicKey: creation() }, { origin: "https://example.org" }, "SecurityError", "origin-refused"],
    [{ publicKey: creation({ challenge: undefined }) }, page, "TypeError", "invalid-options"],
    [{ publicKey: creation() }, {}, "TypeError", "bad-message"],
    [{}, page, "TypeError", "bad-message"],
  ];
  for (const [options, where, name, code] of cases) {
    await assert.rejects(helper.create(options, where), (error) => {
      assert.equal(error.name, name);
      assert.equal(error.keyfob.code, code);
      assert.ok(error.keyfob.hint);
      assert.ok(error instanceof (name === "TypeError" ? TypeError : DOMException));
      return true;
    });
  }
  await assert.rejects(helper.create({ publicKey: creation({ challenge: new Uint8Array(1 << 20) }) }, page), TypeError);
});

test("an AbortSignal ends the ceremony with its reason, and the helper goes on", async (t) => {
  const controller = new AbortController();
  const inserted = (event) => event.event === "insert" && controller.abort(new RangeError("changed my mind"));
  const { helper } = start(t, { onEvent: inserted }, `unix:${path.join(directory, "nothing")}`);
  const { signal } = controller;
  await assert.rejects(helper.create({ publicKey: creation(), signal }, page), { message: "changed my mind" });
  await assert.rejects(helper.get({ publicKey: { challenge }, signal }, page), { message: "changed my mind" });
  assert.equal((await helper.list()).length, 1);
});

test("a second request is refused while the first runs", async (t) => {
  let inserted;
  const waiting = new Promise((resolve) => (inserted = resolve));
  const { helper } = start(t, { onEvent: inserted }, `unix:${path.join(directory, "nothing")}`);
  const controller = new AbortController();
  const first = helper.create({ publicKey: creation(), signal: controller.signal }, page);
  await waiting;
  await assert.rejects(helper.create({ publicKey: creation() }, page), { name: "OperationError" });
  controller.abort();
  await assert.rejects(first, { name: "AbortError" });
});

test("a helper that is closed ends what runs, and starts again", async (t) => {
  const { helper } = start(t, { onEvent: () => helper.close() }, `unix:${path.join(directory, "nothing")}`);
  await assert.rejects(helper.create({ publicKey: creation() }, page), { name: "AbortError" });
  await helper.close();
  assert.equal((await helper.list()).length, 1);
});

test("a program that is missing, or another, is an error", async (t) => {
  const missing = new Helper({ command: path.join(directory, "missing") });
  await assert.rejects(missing.list(), { name: "UnknownError", message: /ENOENT/ });
  await assert.rejects(new Helper({ command: "false" }).list(), { name: "UnknownError", message: /status 1/ });
  const chatty = path.join(directory, "chatty");
  fs.writeFileSync(chatty, "#!/bin/sh\necho welcome\ncat >/dev/null\n", { mode: 0o755 });
  await assert.rejects(new Helper({ command: chatty }).list(), { name: "UnknownError" });
});

/** open returns the global object of a page that has a bridge to the helper and runs webauthn.js. */
function open(helper, more = {}) {
  const running = new Map();
  const keyfob = {
    cancel: (id) => running.get(id).abort(),
    request: async (text) => {
      const { type, id, options } = JSON.parse(JSON.stringify(text)); // nothing but JSON can pass
      running.set(id, new AbortController());
      try {
        const credential = await helper[type]({ publicKey: options, signal: running.get(id).signal }, page);
        return { result: credential.toJSON() };
      } catch ({ name, message, keyfob }) {
        return { error: { name, message, ...keyfob } };
      }
    },
  };
  const globals = { atob, btoa, structuredClone, crypto: crypto.webcrypto, DOMException, AbortController, navigator: {} };
  const window = vm.createContext({ ...globals, keyfob, ...more });
  vm.runInContext(fs.readFileSync(require.resolve("./webauthn.js"), "utf8"), window);
  return window;
}

test("navigator.credentials of a page asks the bridge", async (t) => {
  const window = open(start(t).helper);
  window.options = optionsToJSON(creation());
  const made = await vm.runInContext(
    `const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    publicKey.user.id instanceof ArrayBuffer && navigator.credentials.create({ publicKey })`,
    window,
  );
  assert.ok(made instanceof window.PublicKeyCredential);
  assert.ok(made.response instanceof window.AuthenticatorAttestationResponse);
  const allowCredentials = [{ type: "public-key", id: made.id }];
  const parsed = window.PublicKeyCredential.parseRequestOptionsFromJSON({
    challenge: base64url(challenge),
    rpId: "example.org",
    allowCredentials,
  });
  assert.equal(base64url(parsed.allowCredentials[0].id), made.id);
  const used = await window.navigator.credentials.get({ publicKey: parsed });
  assert.ok(verify(made.response.getPublicKey(), used.response));
  assert.equal(used.toJSON().id, made.id);

  const publicKey = creation({ excludeCredentials: allowCredentials });
  await assert.rejects(window.navigator.credentials.create({ publicKey }), (error) => {
    assert.equal(error.name, "InvalidStateError");
    assert.equal(error.keyfob.code, "excluded");
    return error instanceof DOMException;
  });
  await assert.rejects(window.navigator.credentials.create({ publicKey: {} }), { name: "TypeError" });
  const mediation = "conditional";
  await assert.rejects(window.navigator.credentials.get({ publicKey, mediation }), { name: "NotSupportedError" });
});

test("a page's AbortSignal goes over the bridge", async (t) => {
  let inserted;
  const waiting = new Promise((resolve) => (inserted = resolve));
  const { helper } = start(t, { onEvent: inserted }, `unix:${path.join(directory, "nothing")}`);
  const { navigator } = open(helper);
  const controller = new AbortController();
  const { signal } = controller;
  const asked = navigator.credentials.get({ publicKey: { challenge }, signal });
  await waiting;
  controller.abort(new RangeError("changed my mind"));
  await assert.rejects(asked, { message: "changed my mind" });
  await assert.rejects(navigator.credentials.get({ publicKey: { challenge }, signal }), { message: "changed my mind" });
});

test("a page keeps what the browser has for other credentials, and all where there is no bridge", async () => {
  const native = { get: async ({ password }) => ({ password, by: native }) };
  const window = open(null, { navigator: { credentials: native } });
  assert.deepEqual(await window.navigator.credentials.get({ password: true }), { password: true, by: native });
  assert.equal(await window.navigator.credentials.create({}), null);

  const { get } = native;
  const other = open(null, { navigator: { credentials: native }, keyfob: undefined });
  assert.equal(other.navigator.credentials.get, get);
  assert.equal(other.PublicKeyCredential, undefined);
});
