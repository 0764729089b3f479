"use strict";
// WebAuthn's dictionaries and interfaces, to JSON and back, and a navigator.credentials that asks another process. Nothing
// here needs Node.js: as a plain script in a page it overrides navigator.credentials where there is a bridge window.keyfob.

(function () {
  /** base64url returns bytes (an ArrayBuffer, or a view of one) as WebAuthn's JSON has them. */
  function base64url(source) {
    let text = "";
    for (const byte of bytesOf(source)) text += String.fromCharCode(byte);
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  }

  /** buffer is the inverse of base64url: an ArrayBuffer, or undefined for undefined and for null, as some write it. */
  function buffer(text) {
    if (text === undefined || text === null) return undefined;
    const decoded = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(decoded, (c) => c.charCodeAt(0)).buffer;
  }

  function bytesOf(source) {
    return ArrayBuffer.isView(source)
      ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
      : new Uint8Array(source);
  }

  // Pages, windows and vm contexts have an ArrayBuffer each, so instanceof would miss some.
  const isBuffer = (v) => ArrayBuffer.isView(v) || Object.prototype.toString.call(v) === "[object ArrayBuffer]";

  /**
   * optionsToJSON returns PublicKeyCredentialCreationOptions or -RequestOptions with every ArrayBuffer and view as
   * base64url. Options that are JSON already stay as they are.
   */
  function optionsToJSON(value) {
    if (isBuffer(value)) return base64url(value);
    if (Array.isArray(value)) return value.map(optionsToJSON);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, optionsToJSON(v)]));
  }

  // In the results of extensions, what is bytes in the API and text in JSON.
  function extensionResults(json = {}) {
    const results = structuredClone(json);
    decodeMembers(results, "getCredBlob");
    decodeMembers(results.hmacGetSecret, "output1", "output2");
    decodeMembers(results.prf?.results, "first", "second");
    decodeMembers(results.largeBlob, "blob");
    return results;
  }

  function decodeMembers(object, ...names) {
    for (const name of names) if (object?.[name] !== undefined) object[name] = buffer(object[name]);
  }

  class AuthenticatorResponse {
    constructor(json) {
      this.clientDataJSON = buffer(json.clientDataJSON);
    }
  }

  class AuthenticatorAttestationResponse extends AuthenticatorResponse {
    #json;

    constructor(json) {
      super(json);
      this.#json = json;
      this.attestationObject = buffer(json.attestationObject);
    }

    getTransports() {
      return [...this.#json.transports];
    }

    getAuthenticatorData() {
      return buffer(this.#json.authenticatorData);
    }

    getPublicKey() {
      return buffer(this.#json.publicKey) ?? null;
    }

    getPublicKeyAlgorithm() {
      return this.#json.publicKeyAlgorithm;
    }
  }

  class AuthenticatorAssertionResponse extends AuthenticatorResponse {
    constructor(json) {
      super(json);
      this.authenticatorData = buffer(json.authenticatorData);
      this.signature = buffer(json.signature);
      this.userHandle = buffer(json.userHandle) ?? null;
    }
  }

  function descriptors(options, name) {
    const list = options[name];
    return list && { [name]: list.map((descriptor) => ({ ...descriptor, id: buffer(descriptor.id) })) };
  }

  /** PublicKeyCredential looks like what navigator.credentials resolves to. */
  class PublicKeyCredential {
    #json;

    static async isUserVerifyingPlatformAuthenticatorAvailable() {
      return false; // there are security keys only
    }

    static async isConditionalMediationAvailable() {
      return false; // nor is there a list of passkeys below an input field
    }

    static parseCreationOptionsFromJSON(json) {
      const user = { ...json.user, id: buffer(json.user.id) };
      return { ...json, challenge: buffer(json.challenge), user, ...descriptors(json, "excludeCredentials") };
    }

    static parseRequestOptionsFromJSON(json) {
      return { ...json, challenge: buffer(json.challenge), ...descriptors(json, "allowCredentials") };
    }

    constructor(json) {
      this.#json = json;
      this.id = json.id;
      this.rawId = buffer(json.rawId);
      this.type = json.type;
      this.authenticatorAttachment = json.authenticatorAttachment ?? null;
      this.response = json.response.attestationObject
        ? new AuthenticatorAttestationResponse(json.response)
        : new AuthenticatorAssertionResponse(json.response);
    }

    getClientExtensionResults() {
      return extensionResults(this.#json.clientExtensionResults);
    }

    toJSON() {
      return structuredClone(this.#json);
    }
  }

  /** credentialFromJSON makes a PublicKeyCredential of a RegistrationResponseJSON or an AuthenticationResponseJSON. */
  const credentialFromJSON = (json) => new PublicKeyCredential(json);

  /** exception is what a browser would throw, with the helper's code, hint and retries in the member keyfob. */
  function exception({ name, message, ...keyfob }) {
    const error = name === "TypeError" ? new TypeError(message) : new DOMException(message, name);
    return Object.assign(error, { keyfob });
  }

  /**
   * overrideCredentials makes navigator.credentials.create and get of this page ask the bridge, and replaces WebAuthn's
   * interfaces by those of this file. What is about other credentials than public keys stays the browser's.
   *
   * @param {object} bridge leads to the process that has the helper, and has two functions:
   *   request({ type, id, options }), with type "create" or "get", options in JSON, and an id that it chooses, resolves to
   *   { result } or { error }, as the helper's last message has them; cancel(id) ends that request.
   */
  function overrideCredentials(bridge) {
    const credentials = navigator.credentials ?? {};
    const override = (type) => {
      const native = credentials[type]?.bind(credentials) ?? (async () => null);
      const replacement = async (options) => (options?.publicKey ? ask(bridge, type, options) : native(options));
      define(credentials, type, replacement);
    };
    override("create");
    override("get");
    if (!navigator.credentials) define(navigator, "credentials", credentials);
    for (const [name, value] of Object.entries(interfaces)) define(globalThis, name, value);
  }

  function define(object, name, value) {
    Object.defineProperty(object, name, { value, configurable: true, writable: true });
  }

  async function ask(bridge, type, { publicKey, signal, mediation }) {
    signal?.throwIfAborted();
    if (mediation === "conditional") throw new DOMException("there is no autofill", "NotSupportedError");
    const id = crypto.randomUUID();
    const cancel = () => bridge.cancel(id); // the request ends with an error
    signal?.addEventListener("abort", cancel);
    try {
      const { result, error } = await bridge.request({ type, id, options: optionsToJSON(publicKey) });
      if (error) throw exception(error);
      return credentialFromJSON(result);
    } catch (error) {
      signal?.throwIfAborted(); // with the reason that the page gave
      throw error;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  const interfaces = {
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorResponse,
    PublicKeyCredential,
  };

  if (typeof module === "object") {
    module.exports = {
      ...interfaces,
      base64url,
      buffer,
      credentialFromJSON,
      exception,
      optionsToJSON,
      overrideCredentials,
    };
  } else if (globalThis.keyfob) {
    overrideCredentials(globalThis.keyfob);
  }
})();
