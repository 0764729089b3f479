"use strict";
// What of the bridge needs neither a browser nor a key.

const assert = require("node:assert/strict");
const { EventEmitter } = require("node:events");
const { test } = require("node:test");
const { Bridge, pageOf } = require("./bridge.cjs");

const [a, b] = ["https://a.example", "https://b.example"];

/** frame makes the innermost of frames with these origins, the outermost first. */
const frame = (...origins) =>
  origins.reduce((parent, origin) => {
    const inner = { origin, parent };
    inner.top = parent?.top ?? inner;
    return inner;
  }, null);

test("a frame's page is where it is, and what is around it", () => {
  assert.deepEqual(pageOf(frame(a)), { origin: a });
  assert.deepEqual(pageOf(frame(a, a, a)), { origin: a });
  assert.deepEqual(pageOf(frame(a, b)), { origin: b, topOrigin: a });
  assert.deepEqual(pageOf(frame(a, b, b)), { origin: b, topOrigin: a });
  assert.deepEqual(pageOf(frame(a, b, a)), { origin: a, topOrigin: a });
  assert.deepEqual(pageOf(frame(a, "null")), { origin: "null", topOrigin: a });
});

/** bridgeTo has a helper that cannot run, and writes down what the prompt is told. */
function bridgeTo(command, log) {
  const prompt = {
    open: ({ page, owner }) => log.push(["open", page.origin, owner]),
    tell: async ({ message, hint }) => log.push(["tell", message, hint]),
    close: () => log.push(["close"]),
  };
  return new Bridge({ command, prompt });
}

function serve(bridge, message, port = new EventEmitter()) {
  return new Promise((postMessage, reject) => {
    Object.assign(port, { start() {}, postMessage });
    bridge.serve({ frame: frame(a), port, message, owner: "window" }).catch(reject);
  });
}

test("what is no request never reaches the helper or the user", async () => {
  const log = [];
  const bridge = bridgeTo("/nonexistent", log);
  for (const message of [undefined, null, "get", {}, { type: "derive" }, { type: "constructor" }]) {
    assert.equal((await serve(bridge, message)).error.name, "TypeError");
  }
  assert.deepEqual(log.filter(([what]) => what !== "close"), []);
});

test("a helper that cannot be started is the user's to know, not the page's", async () => {
  const log = [];
  const { error } = await serve(bridgeTo("/nonexistent", log), { type: "get", options: {} });
  assert.deepEqual(error, { name: "UnknownError", message: "The operation either timed out or was not allowed." });
  assert.deepEqual(log, [
    ["open", a, "window"],
    ["tell", "the helper is gone: spawn /nonexistent ENOENT", "try again"],
    ["close"],
  ]);
});

test("those in line have their turn, whatever happens to the one before", async () => {
  const log = [];
  const bridge = bridgeTo("/nonexistent", log);
  const broken = Object.assign(new EventEmitter(), { start() {}, postMessage: () => assert.fail("the window is gone") });
  const first = bridge.serve({ frame: frame(a), port: broken, message: { type: "get" } });
  const gone = new EventEmitter();
  const second = serve(bridge, { type: "get" }, gone);
  const third = serve(bridge, { type: "get" });
  gone.emit("close");
  await assert.rejects(first, { message: "the window is gone" });
  assert.equal((await second).error.name, "AbortError");
  assert.equal((await third).error.name, "UnknownError");
  assert.equal(log.filter(([what]) => what === "open").length, 2);
});
