"use strict";
// The app as it is, in Chromium, with keyfob's helper and virtual key. Only Electron itself is played, by stand-in/electron.cjs.

const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const crypto = require("node:crypto");
const { once } = require("node:events");
const fs = require("node:fs");
const Module = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { after, before, beforeEach, afterEach, test } = require("node:test");
const { Chromium, program } = require("./stand-in/chromium.cjs");
const { Helper } = require("../helper-js/keyfob.js");
const { fake, ignoreGone } = require("./stand-in/electron.cjs");

const login = "https://login.example.org";
const portal = "https://portal.example.net";
const root = path.join(__dirname, "../..");
const missing = program ? false : "Chromium is missing: apt-get install --no-install-recommends chromium-headless-shell";
if (missing && process.env.KEYFOB_EXAMPLES === "require") throw new Error(missing);

const script = `<script>
  let controller = new AbortController();
  async function ask(type, json) {
    try {
      const parse = type === "create" ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
      const publicKey = PublicKeyCredential[parse](json);
      const credential = await navigator.credentials[type]({ publicKey, signal: controller.signal });
      return { ...credential.toJSON(), genuine: credential instanceof PublicKeyCredential };
    } catch ({ name, message }) {
      return { error: name, message };
    }
  }
</script>`;
const features = `publickey-credentials-get ${login}; publickey-credentials-create ${login}`;
const pages = {
  [`${login}/`]: `<title>Login</title>${script}`,
  [`${login}/elsewhere`]: `<title>Elsewhere</title>${script}`,
  [`${portal}/`]: `<title>Portal</title>${script}`,
  [`${portal}/allowed`]: `<title>Portal</title><iframe src="${login}/" allow="${features}"></iframe>`,
  [`${portal}/forbidden`]: `<title>Portal</title><iframe src="${login}/"></iframe>`,
  [`${portal}/sandboxed`]: `<title>Portal</title><iframe src="${login}/" sandbox="allow-scripts" allow="${features}"></iframe>`,
};

let directory, command, chromium, electron, key;
let device; // the socket of the key of this test

before(async () => {
  if (missing) return;
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "keyfob-desktop-"));
  command = process.env.KEYFOB ?? build();
  chromium = new Chromium();
});

after(async () => {
  if (missing) return;
  await chromium.close();
  fs.rmSync(directory, { recursive: true });
});

let number = 0;
beforeEach(() => {
  device = path.join(directory ?? "", `key${++number}`);
});

afterEach(async () => {
  stop();
  await unplug();
});

function build() {
  const program = path.join(directory, "keyfob");
  execFileSync("go", ["build", "-C", path.join(root, "cmd/keyfob"), "-o", program, "."], { stdio: "inherit" });
  return program;
}

/** serve resolves to a virtual key at the socket, whose credentials and PIN are kept. */
async function serve(socket, ...args) {
  const serving = ["virtual", "serve", "--unix", socket, "--state", `${device}.state`, ...args];
  const served = spawn(command, serving, { stdio: ["pipe", "ignore", "pipe"] });
  for await (const line of served.stderr) if (String(line).includes("ready")) return served;
  throw new Error("the virtual key ended");
}

async function stopServing(served) {
  if (served?.kill()) await once(served, "exit");
}

/** plug plugs in the key, which touches itself, or, if it is --manual, waits for touch(). */
async function plug(...args) {
  key = await serve(device, ...args);
}

async function unplug() {
  await stopServing(key);
  key = undefined;
}

const touch = () => key.stdin.write("\n");

/** prepare gives the key passkeys and a PIN before it is plugged in. */
async function prepare(names, pin) {
  const socket = `${device}.desk`;
  const served = await serve(socket);
  const helper = new Helper({ command, args: ["--device", `unix:${socket}`], newPin: () => pin });
  for (const name of names) await helper.create({ publicKey: passkey(name) }, { origin: login });
  if (pin) await helper.create({ publicKey: creation(verified) }, { origin: login });
  await helper.close();
  await stopServing(served);
}

/** start runs main.cjs, and returns the window that it opens. */
async function start(url = `${login}/`) {
  electron = fake(chromium, (asked) => pages[asked]);
  process.argv.splice(2, Infinity, url, login);
  Object.assign(process.env, { KEYFOB: command, KEYFOB_DEVICE: `unix:${device}` });
  const load = Module._load;
  Module._load = (name, ...rest) => (name === "electron" ? electron : load(name, ...rest));
  for (const name of ["main.cjs", "prompt-window.cjs"]) delete require.cache[path.join(__dirname, name)];
  require("./main.cjs");
  Module._load = load;
  return windowAt(url);
}

function stop() {
  electron?.app.emit("will-quit");
  for (const window of electron?.BrowserWindow.getAllWindows() ?? []) window.destroy();
  electron = undefined;
}

/** open opens another window as the app does. */
async function open(url) {
  const [{ options }] = electron.BrowserWindow.getAllWindows();
  const window = new electron.BrowserWindow(options);
  await window.loadURL(url);
  return window;
}

const childOf = (parent) => [...electron.frames.values()].find((frame) => frame.parent === parent);

/** helperID is the process ID of the helper, a child of this process. */
function helperID() {
  const children = fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ");
  return Number(children.find((id) => fs.readFileSync(`/proc/${id}/cmdline`, "utf8").includes("\0helper\0")));
}

/** windowAt resolves to the window that shows, or will show, the address that ends so. */
async function windowAt(end) {
  for (;;) {
    const window = electron.BrowserWindow.getAllWindows().find(({ url }) => url?.endsWith(end));
    if (window) return window.loaded.then(() => window);
    await once(electron.app, "browser-window-loading");
  }
}

/** prompt resolves to the prompt window once it shows what matches. */
async function prompt(pattern) {
  const window = await windowAt("prompt/index.html");
  await electron.run(
    window.mainFrame.where,
    `new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(document.body.innerText + " is shown, not " + ${pattern})), 10_000);
      const look = () => ${pattern}.test(document.body.innerText) && resolve();
      new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
      look();
    })`,
  );
  return window;
}

/** promptGone resolves when no prompt is on the screen. */
async function promptGone() {
  const window = electron.BrowserWindow.getAllWindows().find(({ url }) => url?.endsWith("prompt/index.html"));
  if (window) await once(window, "closed");
}

/** type enters text and presses a key, as a person does. */
async function type(window, text, ...keys) {
  if (text) await window.command("Input.insertText", { text });
  for (const name of keys) {
    const code = { Enter: 13, Tab: 9, Escape: 27, ArrowDown: 40 }[name];
    const params = { key: name, code: name, windowsVirtualKeyCode: code, ...(name === "Enter" && { text: "\r" }) };
    for (const type of ["keyDown", "keyUp"]) {
      await window.command("Input.dispatchKeyEvent", { type, ...params }).catch(ignoreGone); // what the key does may close it
    }
  }
}

const challenge = crypto.randomBytes(32).toString("base64url");
const text = (s) => Buffer.from(s).toString("base64url");
const discouraged = { authenticatorSelection: { userVerification: "discouraged" } };
const creation = (more = discouraged) => ({
  challenge,
  rp: { id: "example.org", name: "Example" },
  user: { id: text("alice"), name: "alice", displayName: "Alice" },
  pubKeyCredParams: [{ type: "public-key", alg: -7 }],
  ...more,
});
const request = (more = {}) => ({ challenge, rpId: "example.org", ...more });
const passkey = (name, userVerification = "discouraged") => {
  const authenticatorSelection = { residentKey: "required", userVerification };
  return creation({ user: { id: text(name), name, displayName: "" }, authenticatorSelection });
};
const verified = { authenticatorSelection: { userVerification: "required" } };

/** ask has a frame ask for a credential, and resolves to what it gets. */
const ask = (frame, kind, options, more) =>
  electron.run(frame.where, `ask(${JSON.stringify(kind)}, ${JSON.stringify(options)})`, more);
const abort = (frame) =>
  electron.run(frame.where, `controller.abort(new RangeError("changed my mind")); controller = new AbortController()`);
const clientData = ({ response }) => JSON.parse(Buffer.from(response.clientDataJSON, "base64url"));
const isVerified = ({ response }) => (Buffer.from(response.authenticatorData, "base64url")[32] & 4) !== 0;

function signedBy(made, { response }) {
  const bytes = (s) => Buffer.from(s, "base64url");
  const hash = crypto.createHash("sha256").update(bytes(response.clientDataJSON)).digest();
  const signed = Buffer.concat([bytes(response.authenticatorData), hash]);
  const publicKey = { key: bytes(made.response.publicKey), format: "der", type: "spki" };
  return crypto.verify("sha256", signed, publicKey, bytes(response.signature));
}

const check = (name, body) => test(name, { skip: missing, timeout: 30_000 }, body);

const refused = { error: "NotAllowedError", message: "The operation either timed out or was not allowed." };

check("a page registers a key and signs in with it", async () => {
  await plug();
  const { mainFrame } = await start();
  const made = await ask(mainFrame, "create", creation());
  assert.ok(made.genuine);
  assert.deepEqual(clientData(made), { type: "webauthn.create", challenge, origin: login, crossOrigin: false });
  const allowCredentials = [{ type: "public-key", id: made.id }];
  const used = await ask(mainFrame, "get", request({ allowCredentials }));
  assert.equal(used.id, made.id);
  assert.ok(signedBy(made, used));
});

check("the PIN is chosen, asked for, and asked again with the tries that are left", async () => {
  await plug();
  const { mainFrame } = await start();
  const making = ask(mainFrame, "create", passkey("alice", "required"));
  let window = await prompt(/Security key for login.example.org\n[^]*Choose a PIN for .*, of 4 to 63 characters/);
  await type(window, "12", "Tab");
  await type(window, "34", "Enter");
  await prompt(/not the same/);
  await type(window, "12", "Tab");
  await type(window, "12", "Enter");
  await prompt(/too short/);
  await type(window, "pin 1234", "Tab");
  await type(window, "pin 1234", "Enter");
  assert.ok(isVerified(await making));

  const using = ask(mainFrame, "get", request({ userVerification: "required" }));
  window = await prompt(/Enter the PIN of/);
  await type(window, "wrong", "Enter");
  await prompt(/That was not the PIN. 7 tries left/);
  await type(window, "pin 1234", "Enter");
  assert.ok(isVerified(await using));
});

check("the user chooses between passkeys", async () => {
  await plug();
  const { mainFrame } = await start();
  for (const name of ["alice", "bob", "<b>carol</b>"]) assert.ok((await ask(mainFrame, "create", passkey(name))).id);
  const using = ask(mainFrame, "get", request());
  await type(await prompt(/Which account\?\s+Account 1, without a name\s+Account 2/), "", "Enter"); // not verified
  assert.equal((await using).response.userHandle, text("<b>carol</b>"));

  const setting = ask(mainFrame, "create", creation(verified));
  let window = await prompt(/Choose a PIN/);
  await type(window, "1234", "Tab");
  await type(window, "1234", "Enter");
  assert.ok((await setting).id);
  const verifying = ask(mainFrame, "get", request({ userVerification: "required" }));
  window = await prompt(/Enter the PIN/);
  await type(window, "1234", "Enter");
  await prompt(/Which account\?\s+<b>carol<\/b>\s+bob\s+alice/);
  await type(window, "", "ArrowDown", "Enter");
  assert.equal((await verifying).response.userHandle, text("bob"));
});

check("a key that is not there is asked for, and used when it is plugged in", async () => {
  const { mainFrame } = await start();
  const making = ask(mainFrame, "create", creation());
  await prompt(/Plug in your security key/);
  await plug();
  assert.ok((await making).id);
});

check("a touch is asked for while the key waits for it", async () => {
  await plug("--manual");
  const { mainFrame } = await start();
  const making = ask(mainFrame, "create", creation());
  await prompt(/Touch .* to register it/);
  touch();
  const { id } = await making;
  const using = ask(mainFrame, "get", request({ allowCredentials: [{ type: "public-key", id }] }));
  await prompt(/Touch .* to sign in/);
  touch();
  assert.equal((await using).id, id);
});

check("the prompt says what the helper tells, of keys as well that are not here", async () => {
  const { mainFrame } = await start();
  ask(mainFrame, "create", creation()).catch(() => {}); // until the window closes
  const { webContents } = await prompt(/Plug in/);
  const blue = { name: "Blue <i>Key</i> (/dev/hidraw1)" };
  const dropped = { message: "the key may not be opened", hint: "install the udev rule" };
  const account = { ask: "account", rpId: "example.org", accounts: [{ id: "AA", name: "al", displayName: "Al" }] };
  const told = [
    [{ event: "select" }, /Several keys blink/],
    [{ event: "touch", key: blue, reason: "select" }, /Touch Blue <i>Key<\/i> \(\/dev\/hidraw1\) to choose it\./],
    [{ event: "touch", key: blue, reason: "verify" }, /to show that it is you/],
    [{ event: "retry", key: blue, retries: 1 }, /to show that it is you[^]*Not recognized: try again. 1 try left\./],
    [{ event: "touched", key: blue }, /was touched\.\s+Cancel/],
    [{ event: "processing", key: blue, reason: "register" }, /is busy/],
    [{ event: "keys", change: "dropped", key: blue, keys: [], error: dropped }, /The key may not be opened\. Install the udev rule\./],
    [{ event: "keys", change: "added", key: blue, keys: [blue] }, /is busy …\s+Cancel/],
    [{ event: "sung", key: blue }, /is busy/], // of a helper that is newer
    [{ ask: "pin", reason: "insteadOfUV", retries: 2, minLength: 4, key: blue }, /did not recognize you\. 2 tries left/],
    [{ ask: "pin", reason: "repeated", minLength: 4, key: blue }, /has rejected this PIN already\.\s+PIN\s+OK/],
    [{ ask: "newPin", reason: "rejected", minLength: 6, maxLength: 63, policy: true, policyUrl: "https://key.example/pin", key: blue },
      /of 6 to 63 characters[^]*does not accept this one. Its rules: https:\/\/key.example\/pin/],
    [account, /Which account\?\s+Al \(al\)/],
  ];
  for (const [message, shown] of told) {
    webContents.send("prompt.show", { type: "event", ...message });
    await prompt(shown);
  }
});

check("an AbortSignal ends a request in each of its states, and leaves room for the next", async () => {
  const { mainFrame } = await start();
  const states = [
    { shows: /Plug in your security key/, asks: ["create", creation()] },
    { shows: /Choose a PIN/, asks: ["create", creation(verified)], then: () => plug() },
    { shows: /Touch .* to register it/, asks: ["create", creation()], then: () => plug("--manual") },
    { shows: /That did not work/, asks: ["get", request()], then: () => plug() },
    { shows: /Which account/, asks: ["get", request()], first: () => prepare(["alice", "bob"]), then: () => plug() },
    { shows: /Enter the PIN/, asks: ["create", creation(verified)], first: () => prepare([], "1234"), then: () => plug() },
  ];
  for (const { shows, asks, first, then } of states) {
    await unplug();
    await first?.();
    const asking = ask(mainFrame, ...asks);
    await prompt(/Plug in your security key/);
    await then?.();
    await prompt(shows);
    const gone = promptGone();
    await abort(mainFrame);
    assert.deepEqual(await asking, { error: "RangeError", message: "changed my mind" }, shows);
    await gone;
  }
  await unplug();
  const before = ask(mainFrame, "create", creation());
  await prompt(/Plug in/);
  const other = await open(`${login}/elsewhere`);
  const waiting = ask(other.mainFrame, "create", creation());
  await abort(other.mainFrame);
  assert.equal((await waiting).error, "RangeError");
  await plug();
  assert.ok((await before).id);
  assert.ok((await ask(mainFrame, "create", creation())).id);
});

check("what the user cancels, the page is not told more about than by a browser", async () => {
  const { mainFrame } = await start();
  for (const cancel of [(w) => type(w, "", "Escape"), (w) => w.close(), (w) => electron.run(w.mainFrame.where, "cancel.click()")]) {
    const asking = ask(mainFrame, "get", request());
    await cancel(await prompt(/Plug in/));
    assert.deepEqual(await asking, refused);
  }
  await plug();
  const asking = ask(mainFrame, "create", creation(verified));
  const window = await prompt(/Choose a PIN/);
  await type(window, "", "Escape");
  assert.deepEqual(await asking, refused);
});

check("why it failed, the user reads, and not the page", async () => {
  await plug();
  const { mainFrame } = await start();
  const { id } = await ask(mainFrame, "create", creation());
  const excludeCredentials = [{ type: "public-key", id }];
  const cases = [
    ["get", request(), /Use another key, or register this one/, refused],
    ["create", creation({ excludeCredentials }), /./, { error: "InvalidStateError", message: "The key is registered already." }],
  ];
  for (const [kind, options, hint, told] of cases) {
    const asking = ask(mainFrame, kind, options);
    const window = await prompt(/That did not work/);
    await prompt(hint);
    await type(window, "", "Enter"); // Close has the focus
    assert.deepEqual(await asking, told);
  }
});

check("a frame that the page allows has an origin of its own", async () => {
  await plug();
  const { mainFrame } = await start(`${portal}/allowed`);
  const frame = childOf(mainFrame);
  assert.notEqual(frame.where.sessionId, mainFrame.where.sessionId, "it is a process of its own");
  assert.match((await ask(frame, "create", creation())).message, /user activation is required/);
  const made = await ask(frame, "create", creation(), { userGesture: true });
  const embedded = { challenge, origin: login, crossOrigin: true, topOrigin: portal };
  assert.deepEqual(clientData(made), { type: "webauthn.create", ...embedded });
  const used = await ask(frame, "get", request({ allowCredentials: [{ type: "public-key", id: made.id }] }));
  assert.deepEqual(clientData(used), { type: "webauthn.get", ...embedded });
});

check("frames that may not, and sites that are not the app's, are refused", async () => {
  await plug();
  for (const address of [`${portal}/forbidden`, `${portal}/sandboxed`]) {
    const frame = childOf((await start(address)).mainFrame);
    for (const [kind, options] of [["create", creation()], ["get", request()]]) {
      const { error, message } = await ask(frame, kind, options, { userGesture: true });
      assert.equal(error, "NotAllowedError");
      assert.match(message, new RegExp(`publickey-credentials-${kind}.* not enabled`));
    }
    stop();
  }
  await start();
  const { mainFrame } = await open(`${portal}/`);
  assert.equal((await ask(mainFrame, "get", request({ rpId: "example.net" }))).error, "SecurityError");
});

check("a page that goes away takes its request along", async () => {
  const window = await start();
  const departures = [
    () => window.loadURL(`${login}/elsewhere`),
    () => window.loadURL(`${portal}/`).then(() => window.loadURL(`${login}/`)),
    () => window.command("Page.reload"),
  ];
  for (const depart of departures) {
    ask(window.mainFrame, "get", request()).catch(() => {}); // its world goes
    await prompt(/Plug in/);
    await Promise.all([promptGone(), depart()]);
  }
  const other = await open(`${login}/elsewhere`);
  ask(other.mainFrame, "get", request()).catch(() => {});
  await prompt(/Plug in/);
  const gone = promptGone();
  other.close();
  await gone;
  await plug();
  assert.ok((await ask(window.mainFrame, "create", creation())).id);
});

check("a frame that is removed takes its request along", async () => {
  const { mainFrame } = await start(`${portal}/allowed`);
  ask(childOf(mainFrame), "get", request()).catch(() => {});
  await prompt(/Plug in/);
  const gone = promptGone();
  await electron.run(mainFrame.where, "document.querySelector('iframe').remove()");
  await gone;
});

check("a second request of a frame is refused; those of other windows wait", async () => {
  const { mainFrame } = await start();
  const first = ask(mainFrame, "create", creation());
  await prompt(/Plug in/);
  assert.equal((await ask(mainFrame, "create", creation())).error, "OperationError");
  const other = await open(`${login}/elsewhere`);
  const second = ask(other.mainFrame, "create", creation());
  await plug("--manual");
  for (const asking of [first, second]) { // the only touch is the first one's, so that the other must have waited
    await prompt(/Touch .* to register it/);
    touch();
    assert.ok((await asking).id);
  }
});

check("a helper that dies is said to, and started again", async () => {
  const { mainFrame } = await start();
  const asking = ask(mainFrame, "create", creation());
  await prompt(/Plug in/);
  process.kill(helperID(), "SIGKILL");
  const window = await prompt(/That did not work/);
  await type(window, "", "Enter");
  assert.equal((await asking).error, "UnknownError");
  await plug();
  assert.ok((await ask(mainFrame, "create", creation())).id);
});
