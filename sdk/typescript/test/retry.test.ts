import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { type Client, createClient, follow, NetworkError, unwrap } from "@clientapps/client";

import { token } from "./api.js";

const path = { client_id: "aa7cf840-9ca9-46a3-9778-9015d6580d50", app_id: "f1a2b3c4-d5e6-7890-abcd-ef1234567890" };
const app = "/clients/{client_id}/apps/{app_id}";

const json = { "Content-Type": "application/json" };
const busy = (after?: string) => () =>
  new Response('{"error":{"code":"unavailable","message":"x"}}', { status: 503, headers: { ...json, ...(after !== undefined && { "Retry-After": after }) } });
const limited = (after: string) => () =>
  new Response('{"type":"x","code":"rate_limited","detail":"x"}', { status: 429, headers: { "Content-Type": "application/problem+json", "Retry-After": after } });
const page = (status: number, headers: Record<string, string> = {}) => () =>
  new Response("<html>", { status, headers: { "Content-Type": "text/html", ...headers } });
const found = () => new Response("{}", { headers: json });

/** A client of a server in memory that gives one answer after the other, the last for ever. Its waits are recorded, and are over at once. */
function scripted(t: TestContext, answers: (() => Response)[], retries?: number): { client: Client; sent: string[]; waits: number[] } {
  const sent: string[] = [];
  const waits: number[] = [];
  t.mock.method(globalThis, "setTimeout", (done: () => void, milliseconds: number) => {
    waits.push(milliseconds);
    if (milliseconds < 45_000) { // not maxIdle of a stream
      queueMicrotask(done);
    }
    return 0;
  });
  const fetch = async (request: Request) => {
    sent.push(await request.text());
    return answers[Math.min(sent.length, answers.length) - 1]!();
  };
  return { client: createClient({ baseUrl: "http://api.invalid/v2", token, fetch, ...(retries !== undefined && { retries }) }), sent, waits };
}

const write = (client: Client) => client.PATCH(app, { params: { path }, body: { license_count: 50 } });
const read = (client: Client) => client.GET(app, { params: { path } });

test("a write is sent again, as it was, after at least Retry-After, and not much later", async (t) => {
  const { client, sent, waits } = scripted(t, [busy("2"), limited("1"), busy("0"), found]);
  await unwrap(write(client));
  assert.deepEqual(sent, Array(4).fill('{"license_count":50}'));
  for (const [n, asked] of [2_000, 1_000, 0].entries()) {
    const pause = 500 * 2 ** n;
    assert.ok(waits[n]! >= asked + pause / 2 && waits[n]! < asked + pause, `wait ${n} is ${waits[n]}`);
  }
  assert.equal(waits.length, 3);
});

test("after the last attempt the refusal is the answer", async (t) => {
  for (const [retries, requests] of [
    [undefined, 4],
    [1, 2],
    [0, 1],
  ] as const) {
    const { client, sent } = scripted(t, [limited("1")], retries);
    const { error, response } = await write(client);
    assert.deepEqual([error?.error.code, response.status, sent.length], ["rate_limited", 429, requests]);
    t.mock.restoreAll();
  }
});

test("what may have been done, or cannot wait, is sent once", async (t) => {
  for (const [what, send, first, requests] of [
    ["success", write, found, 1],
    ["too long", write, busy("31"), 1],
    ["just not too long", write, busy("30"), 2],
    ["a date that has passed", write, busy("Sat, 01 Jan 2000 00:00:02 GMT"), 2],
    ["no Retry-After", write, busy(), 1],
    ["another error", write, page(500, { "Retry-After": "1" }), 1],
    ["a write, and a proxy's 503", write, page(503, { "Retry-After": "1" }), 1],
    ["a write, and a proxy's 503 in JSON", write, () => new Response('"x"', { status: 503, headers: { ...json, "Retry-After": "1" } }), 1],
    ["a read, and a proxy's 503", read, page(503, { "Retry-After": "1" }), 2],
    ["a read, and a proxy's 502", read, page(502, { "Retry-After": "1" }), 1],
    ["a proxy says not when", read, page(503), 1],
  ] as const) {
    const { client, sent } = scripted(t, [first, found]);
    const answered = await send(client).catch((e: unknown) => e);
    assert.equal(sent.length, requests, what);
    assert.equal(typeof answered, "object");
    t.mock.restoreAll();
  }
});

test("the fetch of one request sends it once", async (t) => {
  const { client, sent } = scripted(t, [found]);
  const { response } = await client.GET(app, { params: { path }, fetch: async () => busy("1")() });
  assert.deepEqual([response.status, sent.length], [503, 0]);
});

test("an abort ends the wait", async (t) => {
  const { client, sent } = scripted(t, [busy("5")]);
  const caller = new AbortController();
  t.mock.method(globalThis, "setTimeout", () => queueMicrotask(() => caller.abort()));
  await assert.rejects(
    client.PATCH(app, { params: { path }, body: {}, signal: caller.signal }),
    (e) => e instanceof NetworkError && (e.cause as Error).name === "AbortError",
  );
  assert.equal(sent.length, 1);
});

test("follow has waits of its own, between one connection and the next", async (t) => {
  const missing = () => new Response('{"error":{"code":"not_found","message":"x"}}', { status: 404, headers: json });
  const { client, sent, waits } = scripted(t, [busy("1"), busy("1"), busy("1"), missing]);
  await assert.rejects(follow(client).next(), { code: "not_found" });
  const pauses = waits.filter((wait) => wait < 45_000);
  assert.deepEqual([sent.length, pauses.length], [4, 3]);
  for (const [n, wait] of pauses.entries()) {
    const pause = 1_000 * 2 ** n;
    assert.ok(wait >= 1_000 + pause / 2 && wait <= 1_000 + pause, `wait ${n} is ${wait}`);
  }
});
