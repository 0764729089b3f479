"use strict";
// A client of "keyfob helper": see docs/helper-protocol.md.

const { spawn } = require("node:child_process");
const webauthn = require("./webauthn.js");

const PROTOCOL = 1;
const MAX_MESSAGE = 1 << 20;

/**
 * Helper runs ceremonies in a process of keyfob, which it starts when there is something to do and keeps. One request
 * runs at a time; a second one is refused with an OperationError, as browsers do.
 */
class Helper {
  #options;
  #child = null; // the process, with what was read of its next line
  #running = new Map(); // the requests, by their id
  #count = 0;

  /**
   * @param {object} options
   * @param {string} [options.command] the keyfob program, "keyfob" if it is not said
   * @param {string[]} [options.origins] which may ask; none means all
   * @param {string[]} [options.args] more arguments
   * @param {(event) => void} [options.onEvent] gets what the user should know
   * @param {(question, signal) => Promise} [options.pin] resolves to the PIN; null or none declines
   * @param {(question, signal) => Promise} [options.newPin] resolves to a new PIN
   * @param {(question, signal) => Promise} [options.account] resolves to an index of question.accounts
   */
  constructor(options = {}) {
    this.#options = options;
  }

  /** create does what navigator.credentials.create does, for the page at origin. */
  async create({ publicKey, signal } = {}, { origin, topOrigin } = {}) {
    const options = webauthn.optionsToJSON(publicKey);
    const result = await this.#request({ type: "create", origin, topOrigin, options }, signal);
    return webauthn.credentialFromJSON(result);
  }

  /** get does what navigator.credentials.get does, for the page at origin. */
  async get({ publicKey, signal } = {}, { origin, topOrigin } = {}) {
    const options = webauthn.optionsToJSON(publicKey);
    const result = await this.#request({ type: "get", origin, topOrigin, options }, signal);
    return webauthn.credentialFromJSON(result);
  }

  /** derive resolves to secrets of hmac-secret, each an ArrayBuffer of 32 bytes. */
  async derive({ rpId, credentials, userVerification, signal } = {}, { origin } = {}) {
    const request = { type: "derive", origin, rpId, userVerification, credentials: webauthn.optionsToJSON(credentials) };
    const result = await this.#request(request, signal);
    return {
      key: result.key,
      credentialId: webauthn.buffer(result.credentialId),
      secrets: result.secrets.map(webauthn.buffer),
    };
  }

  /** list resolves to the keys that are plugged in; those that cannot be opened have an error. */
  async list() {
    return (await this.#request({ type: "list" })).keys;
  }

  /** close cancels what runs and ends the process. The helper can be used again. */
  async close() {
    const child = this.#child;
    if (!child) return;
    child.stdin.end();
    await child.ended;
  }

  async #request(request, signal) {
    signal?.throwIfAborted();
    const id = String(++this.#count);
    const text = encode({ ...request, id });
    const ended = new AbortController(); // takes dialogs off the screen
    const cancel = () => this.#send({ type: "cancel", id });
    try {
      return await new Promise((resolve, reject) => {
        this.#start();
        this.#running.set(id, { resolve, reject, ended: ended.signal });
        signal?.addEventListener("abort", cancel);
        this.#child.stdin.write(text);
      });
    } catch (error) {
      signal?.throwIfAborted(); // with the reason that the caller gave
      throw error;
    } finally {
      this.#running.delete(id);
      signal?.removeEventListener("abort", cancel);
      ended.abort();
    }
  }

  #send(message) {
    this.#child?.stdin.write(encode(message));
  }

  #start() {
    if (this.#child) return;
    const { command = "keyfob", origins = [], args = [] } = this.#options;
    const all = ["helper", ...origins.flatMap((origin) => ["--origin", origin]), ...args];
    const child = spawn(command, all, { stdio: ["pipe", "pipe", "inherit"], windowsHide: true });
    child.ended = new Promise((resolve) => {
      const end = (error) => {
        this.#lost(child, error);
        resolve();
      };
      child.on("error", end); // it could not even be started
      child.on("close", (status, name) => end(new Error(`keyfob ended with ${name ?? `status ${status}`}`)));
    });
    child.stdin.on("error", () => {}); // "close" follows
    readLines(child, (line) => this.#take(child, line));
    this.#child = child;
  }

  #lost(child, cause) {
    if (this.#child !== child) return;
    this.#child = null;
    const error = new DOMException(`the helper is gone: ${cause.message}`, "UnknownError");
    for (const request of this.#running.values()) request.reject(error);
  }

  #take(child, line) {
    try {
      this.#handle(JSON.parse(line));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      child.kill(); // that was not keyfob
    }
  }

  #handle(message) {
    const request = this.#running.get(message.id);
    switch (message.type) {
      case "hello":
        if (message.protocol !== PROTOCOL) this.#child.kill();
        break;
      case "event":
        this.#options.onEvent?.(message);
        break;
      case "question":
        if (request) this.#answer(message, request);
        break;
      case "result":
        request?.resolve(message.result);
        break;
      case "error":
        this.#fail(message, request);
        break;
    }
  }

  #fail({ id, of, error }, request) {
    if (!request) return;
    if (of === "answer") {
      request.thrown = webauthn.exception(error); // what the caller answered makes no sense
      this.#send({ type: "cancel", id });
    } else if (!of) {
      request.reject(request.thrown ?? webauthn.exception(error));
    }
  }

  async #answer(question, request) {
    let value = null; // nobody to ask: declined
    try {
      value = (await this.#options[question.ask]?.(question, request.ended)) ?? null;
    } catch (error) {
      request.thrown = error;
    }
    const { id, question: number } = question;
    if (!request.ended.aborted) this.#send({ type: "answer", id, question: number, value });
  }
}

function encode(message) {
  const text = `${JSON.stringify(message)}\n`;
  if (Buffer.byteLength(text) > MAX_MESSAGE) throw new TypeError("the request is too large");
  return text;
}

function readLines(child, take) {
  let rest = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    lines.forEach(take);
  });
}

module.exports = { Helper, ...webauthn };
