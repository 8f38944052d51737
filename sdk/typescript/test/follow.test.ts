import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { createClient, follow, type Followed, type FollowOptions, ForeignError, unwrap } from "@clientapps/client";

import { baseUrl, client, newApp, token } from "./api.js";

/** Follows until as many changes have come. */
async function take(number: number, options: FollowOptions, through = client): Promise<Followed[]> {
  const got: Followed[] = [];
  for await (const followed of follow(through, options)) {
    if (got.push(followed) === number) break;
  }
  return got;
}

function approve({ client_id, id: app_id }: { client_id: string; id: string }, is_approved: boolean) {
  const params = { path: { client_id, app_id } };
  return unwrap(client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { is_approved } }));
}

test("a loop gets what is there and what comes, each change with a cursor to go on from", async () => {
  const app = await newApp();
  const clientId = app.client_id;
  const got: Followed[] = [];
  for await (const followed of follow(client, { clientId })) {
    got.push(followed);
    if (followed.change.field === "app") await approve(app, true);
    if (followed.change.field === "is_approved") break;
  }
  assert.deepEqual(
    got.map(({ change }) => change.field),
    ["client", "client_name", "app", "is_approved"],
  );
  const [, , added] = got;
  assert.ok(added);
  assert.deepEqual(await take(1, { clientId, cursor: added.cursor }), got.slice(3));

  const { next_cursor } = await unwrap(client.GET("/changes", { params: { query: { since: "2099-12-31T23:59:59Z" } } }));
  await approve(app, false);
  const stopped = new AbortController();
  for await (const { change } of follow(client, { cursor: next_cursor, signal: stopped.signal })) {
    if (change.app_id !== app.id) continue; // other tests change things too
    assert.equal(change.new_value, false);
    stopped.abort();
  }
});

test("a connection that breaks within an event costs nothing", async () => {
  const app = await newApp({ is_favorite: true });
  await approve(app, true);
  const sent: (string | null)[] = [];
  const breaking = createClient({
    baseUrl,
    token,
    fetch: async (request) => {
      sent.push(request.headers.get("Last-Event-ID"));
      const response = await fetch(request);
      if (sent.length > 2 || !response.body) return response;
      let text = "";
      const afterOneEvent = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          text += new TextDecoder().decode(chunk);
          const end = text.indexOf("\n\n") + 2;
          if (end < 2) return;
          controller.enqueue(new TextEncoder().encode(text.slice(0, end + 9)));
          controller.error(new TypeError("broken"));
        },
      });
      return new Response(response.body.pipeThrough(afterOneEvent), response);
    },
  });
  const want = await take(4, { clientId: app.client_id });
  assert.deepEqual(await take(4, { clientId: app.client_id }, breaking), want);
  assert.equal(sent[0], null);
  assert.ok(sent.length > 1, "it has connected again");
});

test("what no later attempt would change is thrown", async () => {
  // As the server makes it, but of a database that it is not on.
  const position = Buffer.from("0123456789abcdef\0" + "7");
  const sum = createHash("sha256").update("changes\n/v2/changes\n\0").update(position).digest();
  const expired = Buffer.concat([sum.subarray(0, 8), position]).toString("base64url");
  const unknown = createClient({ baseUrl, token: "unknown" });
  for (const [status, code, through, options] of [
    [410, "cursor_expired", client, { cursor: expired }],
    [400, "invalid_request", client, { cursor: "AAAA" }],
    [404, "not_found", client, { clientId: "0b6f7a52-8d1c-4a3e-9f20-1c2d3e4f5a6b" }],
    [401, "unauthorized", unknown, {}],
  ] as const) {
    await assert.rejects(take(1, options, through), { name: "ApiError", status, code });
  }
});

test("it waits before it connects again", async () => {
  const stream = { headers: { "Content-Type": "text/event-stream; charset=utf-8" } };
  const json = { "Content-Type": "application/json" };
  const error = (code: string) => JSON.stringify({ error: { code, message: "x" } });
  const answers: [answer: () => Response, least: number, most: number][] = [
    [() => assert.fail("not sent"), 500, 1_000],
    [() => new Response(error("unavailable"), { status: 503, headers: { ...json, "Retry-After": "1" } }), 2_000, 3_000],
    [() => new Response("id: AAAA\n\nevent: change\ndata: {", stream), 500, 1_000],
    [() => new Response("<html>", { status: 502, headers: { "Content-Type": "text/html" } }), 1_000, 2_000],
    [() => new Response(`id: AAAB\n\nevent: error\ndata: ${error("unavailable")}\n\n`, stream), 500, 1_000],
    [() => new Response(error("forbidden"), { status: 403, headers: json }), 0, 0],
  ];
  const sent: [at: number, cursor: string | null][] = [];
  const scripted = createClient({
    baseUrl,
    token,
    fetch: async ({ headers }) => {
      sent.push([performance.now(), headers.get("Last-Event-ID")]);
      const answer = answers[sent.length - 1];
      assert.ok(answer);
      return answer[0]();
    },
  });
  await assert.rejects(take(1, {}, scripted), { name: "ApiError", status: 403 });
  assert.deepEqual(
    sent.map(([, cursor]) => cursor),
    [null, null, null, "AAAA", "AAAA", "AAAB"],
  );
  for (const [i, [, least, most]] of answers.slice(0, -1).entries()) {
    const waited = (sent[i + 1]?.[0] ?? 0) - (sent[i]?.[0] ?? 0);
    assert.ok(waited > least - 20 && waited < most + 1_000, `it waited ${waited} ms after answer ${i}`);
  }
});

test("an answer that is no stream is a ForeignError, and an event that is no change is thrown", async () => {
  for (const [type, body, wanted] of [
    ["text/html", "<html>", ForeignError],
    ["application/json", "{}", ForeignError],
    ["text/event-stream", "id: AAAA\nevent: change\ndata: {\n\n", SyntaxError],
  ] as const) {
    const foreign = createClient({ baseUrl, token, fetch: async () => new Response(body, { headers: { "Content-Type": type } }) });
    await assert.rejects(take(1, {}, foreign), wanted);
  }
});

test("a signal ends the loop without an error, while it reads, while it waits and before", async () => {
  const down = createClient({ baseUrl, token, fetch: () => Promise.reject(new TypeError("no network")) });
  const ended = AbortSignal.abort();
  assert.deepEqual(await take(1, { signal: ended }), []);
  assert.deepEqual(await take(1, { signal: AbortSignal.timeout(100) }, down), []);
  const { client_id: clientId } = await newApp();
  assert.equal((await take(4, { clientId, signal: AbortSignal.timeout(1_000) })).length, 3);
});
