"use strict";
// As much of Electron as this example uses, over Chromium's DevTools protocol, so that main.cjs and the preload scripts run
// as they are: windows are real pages, frames of other sites are processes of their own, preload scripts are in an isolated
// world, and origins are those that Chromium says. What it is to be Electron comes from Electron's documentation.

const { EventEmitter } = require("node:events");
const fs = require("node:fs");
const { pathToFileURL } = require("node:url");
const world = require("./world.cjs");

/** fake returns the module "electron". serve(url) returns the body of what a site has there. */
function fake(chromium, serve) {
  const ipcMain = new EventEmitter();
  const app = Object.assign(new EventEmitter(), { isPackaged: false, whenReady: async () => {} });
  const sessions = new Map(); // a page, or a frame in a process of its own: by session ID
  const frames = new Map(); // by ID
  const windows = new Set();

  for (const [event, handle] of Object.entries({
    "Target.attachedToTarget": attached,
    "Target.detachedFromTarget": ({ sessionId }) => forget(sessionId, () => true),
    "Page.frameAttached": ({ frameId, parentFrameId }) => frame(frameId, parentFrameId),
    "Runtime.executionContextCreated": contextCreated,
    "Runtime.executionContextDestroyed": ({ executionContextId }, id) => forget(id, (context) => context === executionContextId),
    "Runtime.executionContextsCleared": (params, id) => forget(id, () => true),
    "Runtime.bindingCalled": ({ executionContextId, payload }, id) => called(id, executionContextId, JSON.parse(payload)),
    "Fetch.requestPaused": paused,
  })) {
    chromium.on(event, (params, sessionId) => {
      if (!sessions.has(sessionId) && !sessions.has(params.sessionId)) return; // of another app
      Promise.resolve(handle(params, sessionId)).catch(ignoreGone);
    });
  }

  function frame(id, parentId) {
    if (!frames.has(id)) frames.set(id, new Frame(parentId && frames.get(parentId)));
    return frames.get(id);
  }

  async function attached({ sessionId, targetInfo: { type }, waitingForDebugger }, within) {
    const window = sessions.get(within)?.window;
    if (window && type === "iframe") await prepare(sessionId, window);
    if (waitingForDebugger) await chromium.send("Runtime.runIfWaitingForDebugger", {}, sessionId);
  }

  async function prepare(sessionId, window) {
    const preload = window.options.webPreferences?.preload;
    sessions.set(sessionId, { window, contexts: new Map(), ports: new Map() });
    const send = (method, params) => chromium.send(method, params, sessionId);
    const commands = [
      send("Page.enable"),
      send("Runtime.enable"),
      send("Fetch.enable", { patterns: [{ urlPattern: "https://*" }] }),
      send("Emulation.setFocusEmulationEnabled", { enabled: true }), // of several windows, one would have it
      send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: true, flatten: true }),
    ];
    if (preload) {
      commands.push(
        send("Runtime.addBinding", { name: world.binding, executionContextName: world.name }),
        send("Page.addScriptToEvaluateOnNewDocument", { source: world.page }),
        send("Page.addScriptToEvaluateOnNewDocument", {
          source: world.preload(fs.readFileSync(preload, "utf8")),
          worldName: world.name,
        }),
      );
    }
    await Promise.all(commands);
  }

  function contextCreated({ context: { id, name, origin, auxData } }, sessionId) {
    const session = sessions.get(sessionId);
    if (name === world.name) session?.contexts.set(id, frame(auxData.frameId));
    if (!auxData.isDefault) return;
    const opaque = origin === "" || origin === "://";
    Object.assign(frame(auxData.frameId), { origin: opaque ? "null" : origin, where: { sessionId, contextId: id } });
  }

  /** forget closes the ports of documents that are gone. */
  function forget(sessionId, gone) {
    const { contexts, ports } = sessions.get(sessionId) ?? { contexts: new Map(), ports: new Map() };
    for (const context of contexts.keys()) if (gone(context)) contexts.delete(context);
    for (const [key, { context, port }] of ports) {
      if (!gone(context)) continue;
      ports.delete(key);
      port.emit("close");
    }
  }

  function called(sessionId, context, { kind, channel, message, port: number }) {
    const { window, contexts, ports } = sessions.get(sessionId);
    const event = { sender: window.webContents, senderFrame: contexts.get(context), ports: [] };
    const key = `${context} ${number}`;
    const deliver = (what) => evaluate(sessionId, `${world.deliver}(${JSON.stringify(what)})`, context).catch(ignoreGone);
    switch (kind) {
      case "send":
        window.webContents.ipc.emit(channel, event, message);
        ipcMain.emit(channel, event, message);
        break;
      case "postMessage":
        ports.set(key, { context, port: new Port((data) => deliver({ port: number, data })) });
        ipcMain.emit(channel, { ...event, ports: [ports.get(key).port] }, message);
        break;
      case "close":
        ports.get(key)?.port.emit("close");
        ports.delete(key);
        break;
    }
  }

  async function evaluate(sessionId, expression, contextId, more = {}) {
    const params = { expression, contextId, awaitPromise: true, returnByValue: true, ...more };
    const { result, exceptionDetails } = await chromium.send("Runtime.evaluate", params, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** paused answers a request of the network, and the one that stands for ipcRenderer.sendSync. */
  function paused({ requestId, request, frameId }, sessionId) {
    let body = serve(request.url);
    let type = "text/html";
    if (request.url.startsWith(world.sync)) {
      const event = { senderFrame: frames.get(frameId) };
      ipcMain.emit(request.url.slice(world.sync.length), event);
      [body, type] = [JSON.stringify(event.returnValue), "application/json"];
    }
    const headers = { "content-type": `${type}; charset=utf-8`, "access-control-allow-origin": "*" };
    return chromium.send(
      "Fetch.fulfillRequest",
      {
        requestId,
        responseCode: body === undefined ? 404 : 200,
        responseHeaders: Object.entries(headers).map(([name, value]) => ({ name, value })),
        body: Buffer.from(body ?? "").toString("base64"),
      },
      sessionId,
    );
  }

  class BrowserWindow extends EventEmitter {
    #sessionId;
    #targetId;
    #ready;

    constructor(options = {}) {
      super();
      this.options = options;
      this.#ready = this.#create();
      this.webContents = Object.assign(new EventEmitter(), { ipc: new EventEmitter(), send: this.#send.bind(this) });
      windows.add(this);
    }

    static fromWebContents = (contents) => [...windows].find((w) => w.webContents === contents) ?? null;

    static getAllWindows = () => [...windows];

    async #create() {
      const { targetId } = await chromium.send("Target.createTarget", { url: "about:blank", newWindow: true });
      this.#targetId = targetId;
      ({ sessionId: this.#sessionId } = await chromium.send("Target.attachToTarget", { targetId, flatten: true }));
      frame(targetId);
      await prepare(this.#sessionId, this);
    }

    loadFile = (file) => this.loadURL(pathToFileURL(file).href);

    loadURL(url) {
      this.url = url;
      this.loaded = this.#load(url);
      app.emit("browser-window-loading", this);
      return this.loaded;
    }

    async #load(url) {
      await this.#ready;
      const loaded = new Promise((resolve) => {
        const done = (params, sessionId) => {
          if (sessionId !== this.#sessionId) return;
          chromium.off("Page.loadEventFired", done);
          resolve();
        };
        chromium.on("Page.loadEventFired", done);
      });
      await chromium.send("Page.navigate", { url }, this.#sessionId);
      await loaded;
    }

    #send(channel, message) {
      const [context] = sessions.get(this.#sessionId).contexts.keys();
      if (context === undefined) return; // the document is gone
      evaluate(this.#sessionId, `${world.deliver}(${JSON.stringify({ channel, message })})`, context).catch(ignoreGone);
    }

    close() {
      this.destroy();
    }

    destroy() {
      if (!windows.delete(this)) return;
      this.emit("closed");
      this.#ready.then(() => chromium.send("Target.closeTarget", { targetId: this.#targetId })).catch(() => {});
    }

    // What follows is for the tests.

    get mainFrame() {
      return frames.get(this.#targetId);
    }

    command(method, params) {
      return chromium.send(method, params, this.#sessionId);
    }
  }

  /** run evaluates an expression in the world of a frame's page. */
  const run = (where, expression, more) => evaluate(where.sessionId, expression, where.contextId, more);

  return { app, BrowserWindow, ipcMain, frames, run };
}

/** ignoreGone drops errors of Chromium about a window or a document that has gone in the meantime. */
function ignoreGone(error) {
  if (!error.protocol) throw error;
}

class Frame {
  constructor(parent) {
    this.parent = parent ?? null;
  }

  get top() {
    return this.parent?.top ?? this;
  }
}

/** Port is a MessagePortMain. */
class Port extends EventEmitter {
  constructor(post) {
    super();
    this.postMessage = post;
  }

  start() {}
}

module.exports = { fake, ignoreGone };
