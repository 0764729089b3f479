"use strict";
// WebAuthn's dictionaries and interfaces, to JSON and back. Nothing here needs Node.js, so a page can use it too.

/** base64url returns bytes (an ArrayBuffer, or a view of one) as WebAuthn's JSON has them. */
function base64url(source) {
  let text = "";
  for (const byte of bytesOf(source)) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** buffer is the inverse of base64url: an ArrayBuffer, or undefined for undefined. */
function buffer(text) {
  if (text === undefined) return undefined;
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
 * optionsToJSON returns PublicKeyCredentialCreationOptions or -RequestOptions with every ArrayBuffer and view as base64url.
 * Options that are JSON already stay as they are.
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

/** PublicKeyCredential looks like what navigator.credentials resolves to. */
class PublicKeyCredential {
  #json;

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

module.exports = {
  AuthenticatorAssertionResponse,
  AuthenticatorAttestationResponse,
  AuthenticatorResponse,
  PublicKeyCredential,
  base64url,
  buffer,
  credentialFromJSON,
  optionsToJSON,
};
