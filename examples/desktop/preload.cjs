"use strict";
// In every frame of a site, sandboxed and apart from the page: leads its navigator.credentials to the main process.

const { contextBridge, ipcRenderer, webFrame } = require("electron");

let running = null; // { id, port, resolve }: one request at a time, as in browsers

/** request resolves to { result } or { error }. The request's port lives as long as anybody here wants that. */
function request({ type, id, options }) {
  const error = refusal(type);
  if (error) return Promise.resolve({ error });
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    running = { id, port: port1, resolve };
    port1.onmessage = ({ data }) => end(id, data);
    ipcRenderer.postMessage("keyfob.request", { type, options }, [port2]);
  });
}

function cancel(id) {
  end(id, { error: { name: "AbortError", message: "The request was cancelled." } });
}

function end(id, reply) {
  if (running?.id !== id) return;
  const { port, resolve } = running;
  running = null;
  port.close();
  resolve(reply);
}

/** refusal is what browsers check of the page before they look for a key; the origin is for the main process to know. */
function refusal(type) {
  if (running) return { name: "OperationError", message: "A request is already pending." };
  if (!document.featurePolicy.allowsFeature(`publickey-credentials-${type}`)) {
    return { name: "NotAllowedError", message: `The feature 'publickey-credentials-${type}' is not enabled in this document.` };
  }
  const foreign = Array.from(location.ancestorOrigins).some((origin) => origin !== window.origin);
  if (type === "create" && foreign && !navigator.userActivation.isActive) {
    return { name: "NotAllowedError", message: "A user activation is required to create a credential in a cross-origin iframe." };
  }
  return null;
}

if (window.isSecureContext) {
  contextBridge.exposeInMainWorld("keyfob", { request, cancel });
  webFrame.executeJavaScript(ipcRenderer.sendSync("keyfob.script")); // before any script of the page
  window.addEventListener("pagehide", () => running && cancel(running.id));
}
