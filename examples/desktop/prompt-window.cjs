"use strict";
// The window that says what to do with the key, and asks for the PIN. It is there while a request runs.

const path = require("node:path");
const { BrowserWindow } = require("electron");

class PromptWindow {
  #window = null;
  #loaded = null;
  #answered = null; // takes the user's answer to what is asked now

  open({ page, owner, cancel }) {
    const window = new BrowserWindow({
      parent: BrowserWindow.fromWebContents(owner) ?? undefined,
      width: 440,
      height: 380,
      minimizable: false,
      maximizable: false,
      title: "Security key",
      webPreferences: { preload: path.join(__dirname, "prompt/preload.cjs") },
    });
    this.#window = window;
    this.#loaded = window.loadFile(path.join(__dirname, "prompt/index.html")).catch(() => {}); // closed before it was there
    window.webContents.ipc.on("prompt.answer", (event, value) => this.#answer(value));
    window.webContents.ipc.on("prompt.cancel", () => window.close());
    window.on("closed", () => {
      if (this.#window !== window) return;
      this.#window = null;
      cancel();
    });
    this.#send({ type: "request", ...page });
  }

  show(event) {
    this.#send(event);
  }

  ask(question, signal) {
    return this.#show(question, signal);
  }

  async tell(failure, signal) {
    await this.#show({ type: "failure", ...failure }, signal);
  }

  close() {
    const window = this.#window;
    this.#window = null; // it was not the user
    window?.destroy();
  }

  /** #show resolves to what the user answers, or to null if nobody wants an answer any more: closing the window cancels. */
  #show(message, signal) {
    if (!this.#window || signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#answered = resolve;
      signal.addEventListener("abort", () => resolve(null));
      this.#send(message);
    });
  }

  #answer(value) {
    this.#answered?.(value);
    this.#answered = null;
  }

  async #send(message) {
    const window = this.#window;
    await this.#loaded;
    if (window && window === this.#window) window.webContents.send("prompt.show", message);
  }
}

module.exports = { PromptWindow };
