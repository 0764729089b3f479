"use strict";
// From the frames of an app to security keys, and nothing of Electron: frames and ports come as parameters.

const { Helper } = require("../helper-js/keyfob.js");

/**
 * Bridge serves the frames of all windows, one request after the other, with one helper that stays. What the user must do
 * or answer is the prompt's business:
 *
 *   open({ page, owner, cancel })  a request of page begins; cancel() ends it if the user wants that
 *   show(event)                    is an event of the helper
 *   ask(question, signal)          resolves to the answer, or to null if the user declines
 *   tell(failure, signal)          resolves when the user has read why it failed
 *   close()                        the request is over
 */
class Bridge {
  #helper;
  #prompt;
  #line = Promise.resolve(); // where requests wait for those before them

  /** @param {object} options prompt, and those of Helper: command, origins, args */
  constructor({ prompt, ...options }) {
    const ask = (question, signal) => prompt.ask(question, signal);
    const onEvent = (event) => prompt.show(event);
    this.#prompt = prompt;
    this.#helper = new Helper({ ...options, onEvent, pin: ask, newPin: ask, account: ask });
  }

  /**
   * serve sends the end of a frame's request, { result } or { error }, to its port, which the frame closes then. A port that
   * closes before, because the page aborts, navigates or dies, ends the request.
   *
   * @param {object} request
   * @param {object} request.frame is Electron's WebFrameMain: has origin, parent and top
   * @param {object} request.port is Electron's MessagePortMain
   * @param {object} request.message has type, "create" or "get", and options, in JSON; from the page, so it may be anything
   * @param {object} request.owner is handed to the prompt
   */
  serve({ frame, port, message, owner }) {
    const page = pageOf(frame); // now, since what a frame shows may change
    const controller = new AbortController();
    port.on("close", () => controller.abort());
    port.start();
    const turn = async () => port.postMessage(await this.#run({ ...message, page, owner, controller }));
    const served = this.#line.then(turn);
    this.#line = served.catch(() => {}); // what went wrong is the caller's to know; the next one has its turn
    return served;
  }

  /** close cancels what runs, and ends the helper. */
  close() {
    return this.#helper.close();
  }

  async #run({ type, options, page, owner, controller }) {
    const { signal } = controller;
    try {
      signal.throwIfAborted(); // while it waited
      if (type !== "create" && type !== "get") throw new TypeError(`there is no request ${type}`);
      const cancel = () => controller.abort(new DOMException("The user cancelled.", "NotAllowedError"));
      this.#prompt.open({ page, owner, cancel });
      const credential = await this.#helper[type]({ publicKey: options, signal }, page);
      return { result: credential.toJSON() };
    } catch (error) {
      if (concernsUser(error, signal)) await this.#prompt.tell(failureOf(error), signal);
      return { error: forPage(error) };
    } finally {
      this.#prompt.close();
    }
  }
}

/** pageOf says who asks, from the browser's own knowledge. */
function pageOf(frame) {
  const { origin } = frame;
  for (let f = frame.parent; f; f = f.parent) {
    if (f.origin !== origin) return { origin, topOrigin: frame.top.origin };
  }
  return { origin };
}

/** concernsUser is false if the user knows already, is not there, or can do nothing about it. */
function concernsUser({ name, keyfob }, signal) {
  if (signal.aborted || name === "TypeError" || name === "SecurityError") return false;
  return keyfob?.code !== "cancelled" && keyfob?.code !== "timeout";
}

function failureOf({ message, keyfob }) {
  return { message, hint: "try again", ...keyfob };
}

// As little as browsers tell a page: not whether a key was there, or what it holds, or how keyfob was started.
function forPage({ name, message }) {
  if (name === "TypeError" || name === "SecurityError") return { name, message };
  if (name === "InvalidStateError") return { name, message: "The key is registered already." };
  return { name, message: "The operation either timed out or was not allowed." };
}

module.exports = { Bridge, pageOf };
