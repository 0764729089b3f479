"use strict";
// Debian's Chromium without a window, by the DevTools protocol over a pipe: no port, no dependency.

const { spawn, spawnSync } = require("node:child_process");
const { EventEmitter } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const program = ["chromium-headless-shell", "chromium"].find((name) => spawnSync(name, ["--version"]).status === 0);

/** Chromium sends commands and emits events, each with the session (a page or a frame's process) that it is about. */
class Chromium extends EventEmitter {
  #browser;
  #profile = fs.mkdtempSync(path.join(os.tmpdir(), "keyfob-chromium-"));
  #count = 0;
  #pending = new Map();

  constructor() {
    super();
    const args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--site-per-process"];
    this.#browser = spawn(program, [...args, "--remote-debugging-pipe", `--user-data-dir=${this.#profile}`], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    this.#browser.stdio[3].on("error", () => {}); // "close" follows
    this.ended = new Promise((resolve) => this.#browser.on("close", resolve));
    this.ended.then(() => this.#fail("chromium is gone", () => true));
    this.on("Target.detachedFromTarget", ({ sessionId }) => this.#fail("its page is gone", (p) => p.sessionId === sessionId));
    readMessages(this.#browser.stdio[4], (message) => this.#take(message));
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#count;
    const { stack } = new Error(method); // to say who asked
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, method, stack, sessionId });
      this.#browser.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  async close() {
    await this.send("Browser.close").catch(() => {});
    await this.ended;
    fs.rmSync(this.#profile, { recursive: true, maxRetries: 5, retryDelay: 100 });
  }

  #take({ id, result, error, method, params, sessionId }) {
    if (id === undefined) {
      this.emit(method, params, sessionId);
    } else if (error) {
      this.#fail(error.message, (p) => p === this.#pending.get(id));
    } else {
      this.#pending.get(id)?.resolve(result);
      this.#pending.delete(id);
    }
  }

  #fail(why, concerns) {
    for (const [id, pending] of this.#pending) {
      if (!concerns(pending)) continue;
      this.#pending.delete(id);
      const { method, stack, reject } = pending;
      reject(Object.assign(new Error(`${method}: ${why}`), { stack: `${method}: ${why}\n${stack}`, protocol: true }));
    }
  }
}

function readMessages(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk) => {
    const messages = (rest + chunk).split("\0");
    rest = messages.pop();
    for (const message of messages) take(JSON.parse(message));
  });
}

module.exports = { Chromium, program };
