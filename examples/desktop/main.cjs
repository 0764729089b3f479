"use strict";
// An app that shows sites: npx electron . https://login.example.org [the other origins that may use a key]...

const fs = require("node:fs");
const path = require("node:path");
const { app, BrowserWindow, ipcMain } = require("electron");
const { Bridge } = require("./bridge.cjs");
const { PromptWindow } = require("./prompt-window.cjs");

const sites = process.argv.slice(app.isPackaged ? 1 : 2).filter((argument) => argument.startsWith("https://"));
if (sites.length === 0) throw new Error("usage: npx electron . https://login.example.org [ORIGIN]...");
const device = process.env.KEYFOB_DEVICE; // one key instead of all, to try it with "keyfob virtual serve"

const bridge = new Bridge({
  prompt: new PromptWindow(),
  command: process.env.KEYFOB ?? "keyfob", // an app has it among its resources
  args: device ? ["--device", device] : [],
  origins: sites.map((site) => new URL(site).origin),
});

// A sandboxed preload script can read no files, so this is how it gets what it has the page run.
const script = fs.readFileSync(path.join(__dirname, "../helper-js/webauthn.js"), "utf8");
ipcMain.on("keyfob.script", (event) => {
  event.returnValue = script;
});

ipcMain.on("keyfob.request", ({ sender, senderFrame, ports }, message) => {
  const [port] = ports;
  if (!port) return;
  if (!senderFrame) return port.close(); // it has gone
  bridge.serve({ frame: senderFrame, port, message, owner: sender });
});

function openSite(url) {
  const webPreferences = {
    preload: path.join(__dirname, "preload.cjs"),
    nodeIntegrationInSubFrames: true, // runs preload.cjs in frames as well, and does not let Node.js in: it is sandboxed
  };
  new BrowserWindow({ width: 1000, height: 700, webPreferences }).loadURL(url);
}

app.whenReady().then(() => openSite(sites[0]));
app.on("will-quit", () => bridge.close());
