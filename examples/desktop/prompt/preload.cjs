"use strict";

const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("main", {
  onShow: (show) => ipcRenderer.on("prompt.show", (event, message) => show(message)),
  answer: (value) => ipcRenderer.send("prompt.answer", value),
  cancel: () => ipcRenderer.send("prompt.cancel"),
});
