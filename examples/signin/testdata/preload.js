"use strict";
// What an app puts into every page before the page's own scripts, ahead of helper-js/webauthn.js: the bridge. The app gets
// the text that keyfobCall is called with, knows itself which frame has called, and answers by keyfobReply.
{
  const call = globalThis.keyfobCall;
  const waiting = new Map();
  globalThis.keyfob = {
    request: (request) =>
      new Promise((resolve) => {
        waiting.set(request.id, resolve);
        call(JSON.stringify(request));
      }),
    cancel: (id) => call(JSON.stringify({ type: "cancel", id })),
  };
  globalThis.keyfobReply = (end) => {
    waiting.get(end.id)?.(end);
    waiting.delete(end.id);
  };
}
