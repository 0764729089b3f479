/// <reference lib="dom" />
// The types of navigator.credentials are those of TypeScript's own library "dom".

/** One security key. The names come from the key: show them, but do not trust them. */
export interface Key {
  path: string;
  name: string;
  bus: string;
  vendorId: number;
  productId: number;
  manufacturer: string;
  product: string;
  serial: string;
  stableId: string;
  /** Why it cannot be opened. */
  error?: Failure;
}

export interface Failure {
  name: string;
  message: string;
  code: string;
  hint: string;
  retries?: number;
}

/** What a rejected promise has besides a DOMException's (or a TypeError's) own members. */
export interface KeyfobError extends Error {
  keyfob: Omit<Failure, "name" | "message">;
}

export type TouchReason = "register" | "authenticate" | "verify" | "select";

/** What the user should know. Every event has the id of its request. */
export type HelperEvent = { type: "event"; id: string } & (
  | { event: "insert" }
  | { event: "select" }
  | { event: "keys"; change: "added" | "removed" | "dropped"; key: Key; keys: Key[]; error?: Failure }
  | { event: "touch"; key: Key; reason: TouchReason }
  | { event: "processing"; key: Key; reason: TouchReason }
  | { event: "touched"; key: Key }
  | { event: "retry"; key: Key; retries?: number }
);

interface Question {
  type: "question";
  id: string;
  question: number;
  key: Key;
}

export interface PINQuestion extends Question {
  ask: "pin";
  reason: "needed" | "invalid" | "repeated" | "tooShort" | "tooLong" | "insteadOfUV";
  minLength: number;
  retries?: number;
}

export interface NewPINQuestion extends Question {
  ask: "newPin";
  reason: "notSet" | "forced" | "rejected" | "tooShort" | "tooLong";
  minLength: number;
  maxLength: number;
  policy?: boolean;
  policyUrl?: string;
}

export interface AccountQuestion extends Question {
  ask: "account";
  rpId: string;
  /** The newest first. */
  accounts: { id: string; name: string; displayName: string }[];
}

/** A question is answered by a value; null and undefined decline. The signal ends when nobody wants the answer any more. */
type Asked<Q, V> = (question: Q, signal: AbortSignal) => V | null | undefined | Promise<V | null | undefined>;

export interface HelperOptions {
  /** The keyfob program; "keyfob" is looked for in PATH. */
  command?: string;
  /** More arguments. */
  args?: string[];
  /** The origins that may ask; none means all. */
  origins?: string[];
  onEvent?(event: HelperEvent): void;
  pin?: Asked<PINQuestion, string>;
  newPin?: Asked<NewPINQuestion, string>;
  account?: Asked<AccountQuestion, number>;
}

export interface Page {
  /** Of the frame that asks: from the browser's own knowledge, never from the page. */
  origin: string;
  /** Of the top-level page, if a page around the frame has another origin than the frame: it may equal origin. */
  topOrigin?: string;
}

export interface RegistrationCredential extends PublicKeyCredential {
  readonly response: AuthenticatorAttestationResponse;
}

export interface AuthenticationCredential extends PublicKeyCredential {
  readonly response: AuthenticatorAssertionResponse;
}

/** Binary members may also be base64url, as a server sends them. */
type WithJSON<T> = T extends BufferSource ? T | string : T extends object ? { [K in keyof T]: WithJSON<T[K]> } : T;

export interface DeriveRequest {
  rpId: string;
  credentials: { id: BufferSource | string; salts: (BufferSource | string)[] }[];
  userVerification: "required" | "discouraged";
  signal?: AbortSignal;
}

export interface Secrets {
  key: Key;
  credentialId: ArrayBuffer;
  secrets: ArrayBuffer[];
}

export class Helper {
  constructor(options?: HelperOptions);
  create(
    options: { publicKey: WithJSON<PublicKeyCredentialCreationOptions>; signal?: AbortSignal },
    page: Page,
  ): Promise<RegistrationCredential>;
  get(
    options: { publicKey: WithJSON<PublicKeyCredentialRequestOptions>; signal?: AbortSignal },
    page: Page,
  ): Promise<AuthenticationCredential>;
  derive(request: DeriveRequest, page?: { origin?: string }): Promise<Secrets>;
  list(): Promise<Key[]>;
  close(): Promise<void>;
}

export function base64url(source: BufferSource): string;
export function buffer(text: string): ArrayBuffer;
export function buffer(text: undefined): undefined;
export function optionsToJSON(options: unknown): unknown;
export function credentialFromJSON(json: unknown): PublicKeyCredential;
export function exception(failure: Failure): KeyfobError;

/** What leads from a page to the process that has the helper. */
export interface Bridge {
  request(request: {
    type: "create" | "get";
    id: string;
    options: unknown;
  }): Promise<{ result: unknown; error?: undefined } | { error: Failure }>;
  cancel(id: string): void;
}

/** In a page: makes navigator.credentials ask the bridge. */
export function overrideCredentials(bridge: Bridge): void;
