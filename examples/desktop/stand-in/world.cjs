"use strict";
// What Electron has in a renderer, for electron.cjs: source text for the page's world, and for that of the preload script.

const name = "Electron Isolated Context";
const binding = "__toMain";
const deliver = "__fromMain";
const sync = "https://electron.invalid/";

// Two worlds of a document share events and no objects, so calls pass as JSON in events.
function pageWorld() {
  const calls = new Map();
  const listen = (type, take) => addEventListener(`electron:${type}`, (event) => take(JSON.parse(event.detail)));
  const tell = (type, detail) => dispatchEvent(new CustomEvent(`electron:${type}`, { detail: JSON.stringify(detail) }));
  listen("run", (source) => (0, eval)(source));
  listen("expose", ({ key, names }) => {
    window[key] = Object.fromEntries(names.map((fn) => [fn, (...args) => call(key, fn, args)]));
  });
  listen("return", ({ id, value }) => calls.get(id)(value));

  function call(key, fn, args) {
    const id = calls.size + 1;
    const passed = args.map((arg) => (typeof arg === "function" ? { callback: calls.set(`${id}`, arg) && id } : { arg }));
    return new Promise((resolve) => {
      calls.set(id, resolve);
      tell("call", { key, fn, id, passed });
    });
  }
  listen("callback", ({ id, value }) => calls.get(`${id}`)(value));
}

function preloadWorld(preload) {
  const listeners = new Map();
  const ports = [];
  const listen = (type, take) => addEventListener(`electron:${type}`, (event) => take(JSON.parse(event.detail)));
  const tell = (type, detail) => dispatchEvent(new CustomEvent(`electron:${type}`, { detail: JSON.stringify(detail) }));
  const toMain = (message) => globalThis.__toMain(JSON.stringify(message));
  globalThis.__fromMain = ({ channel, message, port, data }) => {
    if (channel) listeners.get(channel)?.({}, message);
    else ports[port].postMessage(data);
  };
  globalThis.MessageChannel = class extends MessageChannel {
    constructor() {
      super();
      const { port1, port2 } = this;
      port1.close = () => {
        MessagePort.prototype.close.call(port1);
        port2.dispatchEvent(new Event("close")); // which is for Electron's main process; here the port never left
      };
    }
  };
  const electron = {
    contextBridge: {
      exposeInMainWorld(key, api) {
        listen("call", async ({ key: called, fn, id, passed }) => {
          if (called !== key) return;
          const args = passed.map(({ arg, callback }) => (callback ? (value) => tell("callback", { id: callback, value }) : arg));
          tell("return", { id, value: await api[fn](...args) });
        });
        tell("expose", { key, names: Object.keys(api) });
      },
    },
    ipcRenderer: {
      on: (channel, take) => listeners.set(channel, take),
      send: (channel, message) => toMain({ kind: "send", channel, message }),
      sendSync(channel) {
        const request = new XMLHttpRequest();
        request.open("GET", `https://electron.invalid/${channel}`, false);
        request.send();
        return JSON.parse(request.responseText);
      },
      postMessage(channel, message, [port]) {
        const number = ports.push(port) - 1;
        port.addEventListener("close", () => toMain({ kind: "close", port: number }));
        port.start();
        toMain({ kind: "postMessage", channel, message, port: number });
      },
    },
    webFrame: { executeJavaScript: (source) => tell("run", source) },
  };
  preload((module) => {
    if (module !== "electron") throw new Error(`a sandboxed preload script cannot require ${module}`);
    return electron;
  });
}

module.exports = {
  name,
  binding,
  deliver,
  sync,
  page: `(${pageWorld})();`,
  preload: (source) => `(${preloadWorld})((require) => {\n${source}\n});`,
};
