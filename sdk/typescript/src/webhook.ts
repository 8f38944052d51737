import type { components } from "./schema.js";

/** What a webhook has delivered. `changes` or `ping` is set, or neither if `type` is one that this version does not know. */
export interface Delivery {
  /** The `webhook-id`: the same at each attempt, so that what came twice can be told. */
  id: string;
  /** When this attempt was made. */
  timestamp: Date;
  /** `app.changed` or `ping`. */
  type: string;
  changes?: components["schemas"]["ChangesDelivery"];
  ping?: components["schemas"]["PingDelivery"];
}

/** The headers of a request: of `fetch`, or `headers` or `headersDistinct` of Node.js. */
export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>;

/**
 * - `secret`: the receiver is misconfigured: it has no secret, or one that no webhook has.
 * - `signature`: a header is missing, doubled or malformed, or no signature is right. Answer 401.
 * - `timestamp`: the signature is right, but the attempt was made more than five minutes ago, or will be. Answer 401.
 * - `body`: the signature and its time are right, but the body is not what the contract says. Answer 400.
 */
export type WebhookReason = "secret" | "signature" | "timestamp" | "body";

const messages: Record<WebhookReason, string> = {
  secret: "No secret of a webhook: want whsec_ and base64",
  signature: "The delivery is not signed with a secret of the webhook",
  timestamp: "The time of the delivery is more than five minutes off",
  body: "The body of the delivery cannot be read",
};

/** Says why `verifyWebhook` refuses a delivery. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
  readonly reason: WebhookReason;

  constructor(reason: WebhookReason, options?: ErrorOptions) {
    super(messages[reason], options);
    this.reason = reason;
  }
}

/** How far the clocks of server and receiver may differ, in milliseconds, and how long a delivery may be repeated by others. */
const tolerance = 5 * 60_000;
/** In bytes (Standard Webhooks 1.0.0). Secrets of the server have 32. */
const minSecret = 24;

/**
 * Checks that a delivery comes from a server that has one of the secrets, which `createWebhook` and `rotateWebhookSecret` show, and
 * that it was sent within five minutes (Standard Webhooks 1.0.0). Only then it reads the body, which must be the bytes that came,
 * not parsed and written again. Pass the old and the new secret while a secret is rotated.
 *
 * ```ts
 * const { id, changes } = await verifyWebhook(request.headers, await request.arrayBuffer(), secret);
 * ```
 *
 * It rejects with a `WebhookError`. A `type` that this version does not know is no error: answer 204.
 */
export async function verifyWebhook(
  headers: WebhookHeaders,
  body: string | ArrayBuffer | ArrayBufferView,
  secrets: string | readonly string[],
): Promise<Delivery> {
  const keys = [secrets].flat().map(keyOf);
  if (keys.length === 0) {
    throw new WebhookError("secret");
  }
  const id = only(headers, "webhook-id");
  const timestamp = only(headers, "webhook-timestamp");
  const signatures = only(headers, "webhook-signature");
  // Two headers may have been joined with a comma, which no id has.
  if (!/^[!-+\--~]{1,256}$/.test(id) || !/^[0-9]{1,12}$/.test(timestamp) || signatures.includes(", ")) {
    throw new WebhookError("signature");
  }
  const bytes = bytesOf(body);
  if (!(await isSigned(`${id}.${timestamp}.`, bytes, signatures, keys))) {
    throw new WebhookError("signature");
  }
  const at = Number(timestamp) * 1_000;
  if (Math.abs(Date.now() - at) > tolerance) {
    throw new WebhookError("timestamp");
  }
  return { id, timestamp: new Date(at), ...read(bytes) };
}

function keyOf(secret: string): Uint8Array<ArrayBuffer> {
  const text = /^whsec_([0-9A-Za-z+/]+={0,2})$/.exec(secret)?.[1] ?? "";
  if (text.length % 4 !== 0 || text.length < (minSecret / 3) * 4) {
    throw new WebhookError("secret");
  }
  return fromBase64(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The value of a header that comes once, or nothing. */
function only(headers: WebhookHeaders, name: string): string {
  if (headers instanceof Headers) {
    return headers.get(name) ?? "";
  }
  const values = Object.entries(headers).flatMap(([key, value]) => (key.toLowerCase() === name ? (value ?? []) : []));
  return values.length === 1 ? (values[0] ?? "") : "";
}

function bytesOf(body: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof body === "string") {
    return new TextEncoder().encode(body);
  }
  return ArrayBuffer.isView(body) ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength) : new Uint8Array(body);
}

/** Compares each signature with each key; `verify` takes the same time for all. It ignores signatures of other versions than v1. */
async function isSigned(head: string, body: Uint8Array, signatures: string, keys: Uint8Array<ArrayBuffer>[]): Promise<boolean> {
  const start = new TextEncoder().encode(head);
  const signed = new Uint8Array(start.length + body.length);
  signed.set(start);
  signed.set(body, start.length);
  const given = signatures
    .split(" ")
    // 32 bytes, and only the one spelling that they have in base64.
    .map((text) => /^v1,([0-9A-Za-z+/]{42}[AEIMQUYcgkosw048]=)$/.exec(text)?.[1])
    .filter((text) => text !== undefined)
    .map(fromBase64);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const checks = keys.map(async (bytes) => {
    const key = await crypto.subtle.importKey("raw", bytes, hmac, false, ["verify"]);
    return Promise.all(given.map((signature) => crypto.subtle.verify(hmac, key, signature, signed)));
  });
  return (await Promise.all(checks)).flat().includes(true);
}

function read(body: Uint8Array): Pick<Delivery, "type" | "changes" | "ping"> {
  try {
    const delivery = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
    const { type, data } = delivery;
    if (typeof type !== "string" || type === "" || typeof data !== "object" || data === null) {
      throw new TypeError("no type or no data");
    }
    if (type === "app.changed") {
      if (!Array.isArray(data.changes)) {
        throw new TypeError("no changes");
      }
      return { type, changes: delivery };
    }
    if (type === "ping") {
      if (typeof data.webhook_id !== "string") {
        throw new TypeError("no webhook_id");
      }
      return { type, ping: delivery };
    }
    return { type };
  } catch (cause) {
    throw new WebhookError("body", { cause });
  }
}
