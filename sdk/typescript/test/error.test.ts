import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { ApiError, createClient, type ErrorResponse, ForeignError, NetworkError, type Schemas, unwrap } from "@clientapps/client";

import { baseUrl, client, newApp, newCatalogApp, newClient, token } from "./api.js";

const path = "/clients/{client_id}/apps/{app_id}";

test("every failure has its typed shape", async () => {
  const { client_id, id: app_id, catalog_app } = await newApp();
  const params = { path: { client_id, app_id } };
  const unknown = "0b6f7a52-8d1c-4a3e-9f20-1c2d3e4f5a6b";
  const answers: [number, ErrorResponse["error"], Promise<{ error?: ErrorResponse; response: Response }>][] = [
    [
      401,
      { code: "unauthorized", message: "Authentication required" },
      createClient({ baseUrl, token: "unknown" }).GET(path, { params }),
    ],
    [
      400,
      { code: "invalid_request", message: "license_count must be between 0 and 2147483647" },
      client.PATCH(path, { params, body: { license_count: -1 } }),
    ],
    [
      400,
      {
        code: "invalid_request",
        message: "Field 'catalog_app' cannot be updated via this endpoint",
        details: { field: "catalog_app", reason: "Managed through the Catalog Apps domain" },
      },
      client.PATCH(path, { params, body: { catalog_app: null } as Schemas["AppPatch"] }),
    ],
    [
      400,
      { code: "invalid_request", message: "page_size must be between 1 and 500", details: { field: "page_size" } },
      client.GET("/catalog-apps", { params: { query: { page_size: 501 } } }),
    ],
    [
      404,
      { code: "not_found", message: "App not found", details: { app_id: unknown } },
      client.GET(path, { params: { path: { client_id, app_id: unknown } } }),
    ],
    [
      409,
      { code: "conflict", message: "canonical_name is taken", details: { field: "canonical_name" } },
      client.POST("/catalog-apps", { body: { canonical_name: catalog_app.canonical_name } }),
    ],
  ];
  for (const [status, want, answer] of answers) {
    const { error, response } = await answer;
    assert.equal(response.status, status);
    assert.deepEqual(error, { error: want });
  }
});

test("unwrap throws what the API answered", async () => {
  const { canonical_name } = await newCatalogApp();
  const failure = await unwrap(client.POST("/catalog-apps", { body: { canonical_name } })).catch((e: unknown) => e);
  assert.ok(failure instanceof ApiError);
  assert.equal(failure.name, "ApiError");
  assert.equal(failure.message, "canonical_name is taken");
  assert.equal(failure.status, 409);
  assert.equal(failure.code, "conflict");
  assert.equal(failure.details?.field, "canonical_name");
  assert.equal(failure.requestId, failure.response.headers.get("X-Request-Id"));
  assert.ok(failure.requestId);
});

test("problem details are the same errors", async () => {
  const { client_id, id: app_id } = await newApp();
  const params = { path: { client_id, app_id } };
  const asking = createClient({ baseUrl, token });
  asking.use({
    onRequest({ request }) {
      request.headers.set("Accept", "application/problem+json");
      return request;
    },
  });
  for (const body of [{ license_count: -1 }, { license_count: -1, is_favorite: 1 }, { catalog_app: null }] as Schemas["AppPatch"][]) {
    const plain = await client.PATCH(path, { params, body });
    const problem = await asking.PATCH(path, { params, body });
    assert.deepEqual(problem.error, plain.error);
    assert.ok(problem.error);
    assert.equal(problem.response.status, 400);
    assert.equal(problem.response.headers.get("Content-Type"), "application/problem+json");
  }
  const failure = await unwrap(asking.PATCH(path, { params, body: { license_count: -1 } })).catch((e: unknown) => e);
  assert.ok(failure instanceof ApiError && failure.code === "invalid_request" && failure.requestId);
  assert.equal((await unwrap(asking.GET(path, { params }))).id, app_id);
});

test("unwrap throws for 304, which has no data", async () => {
  const { client_id, id: app_id } = await newApp();
  const params = { path: { client_id, app_id }, header: { "If-None-Match": "*" } };
  await assert.rejects(unwrap(client.GET(path, { params })), { name: "ApiError", message: "No data: 304 Not Modified", status: 304, code: undefined });
});

test("an answer that is not the API's is a ForeignError", async (t) => {
  type Answer = [status: number, type: string | undefined, body: string];
  let answer: Answer;
  const proxy = createServer((_, response) => {
    const [status, type, body] = answer;
    response.writeHead(status, type ? { "Content-Type": type } : {}).end(body);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => proxy.close());
  const foreign = createClient({ baseUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, token });
  for (answer of [
    [200, "text/html", "<html>"],
    [200, undefined, "{}"],
    [200, "application/jsonp", "{}"],
    [404, "application/json", '{"message":"no Route matched with those values"}'],
    [502, "text/html", "<html>"],
    [503, "application/json", '{"error":"unavailable"}'],
    [503, "application/json", "null"],
    [200, "application/problem+json", '{"code":"not_found","detail":"x"}'],
    [404, "application/problem+json", '{"type":"about:blank","title":"Not Found"}'],
    [404, "application/problem+json", '{"error":{"code":"not_found","message":"x"}}'],
  ] as Answer[]) {
    await assert.rejects(unwrap(foreign.GET("/clients")), (e) => {
      assert.ok(e instanceof ForeignError, `${answer}: ${e}`);
      assert.deepEqual([e.status, e.response.status, e.cause], [answer[0], answer[0], undefined]);
      assert.match(e.message, /^Not the API's answer: \d+ \w/);
      return true;
    });
  }
  for (answer of [
    [200, "application/json", "<html>"],
    [200, "application/json", ""],
    [504, "application/json", "<html>"],
    [504, "application/problem+json", "<html>"],
  ] as Answer[]) {
    await assert.rejects(
      foreign.GET("/clients"),
      (e) => e instanceof ForeignError && e.status === answer[0] && e.cause instanceof SyntaxError,
      `${answer}`,
    );
  }
});

test("the token may be a function", async () => {
  let asked = 0;
  const renewing = createClient({
    baseUrl,
    token: async () => {
      asked++;
      return token;
    },
  });
  await unwrap(renewing.GET("/clients"));
  await unwrap(renewing.GET("/catalog-apps/summary"));
  assert.equal(asked, 2);
});

test("a network failure is a NetworkError with its cause", async (t) => {
  const broken = createServer((request, response) => {
    if (request.url === "/clients") {
      request.socket.destroy();
    } else if (request.url === "/catalog-apps") {
      response.writeHead(200, { "Content-Type": "application/json", "Content-Length": 1000 }).write('{"data":[');
      setTimeout(() => request.socket.destroy(), 20);
    } // all other requests get no answer
  });
  await new Promise<void>((resolve) => broken.listen(0, "127.0.0.1", resolve));
  t.after(() => broken.closeAllConnections());
  t.after(() => broken.close());
  const url = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
  const toBroken = createClient({ baseUrl: url, token });
  for (const [what, request] of [
    ["no answer", () => toBroken.GET("/clients")],
    ["half an answer", () => toBroken.GET("/catalog-apps")],
    ["no server", () => createClient({ baseUrl: "http://127.0.0.1:1", token }).GET("/clients")],
  ] as const) {
    await assert.rejects(request(), (e) => e instanceof NetworkError && e.cause instanceof Error, what);
  }
  await assert.rejects(
    toBroken.GET("/catalog-vendors", { signal: AbortSignal.timeout(20) }),
    (e) => e instanceof NetworkError && (e.cause as Error).name === "TimeoutError",
  );
  const caller = new AbortController();
  const given = toBroken.GET("/catalog-vendors", { signal: caller.signal });
  caller.abort();
  await assert.rejects(given, (e) => e instanceof NetworkError && (e.cause as Error).name === "AbortError");
  await assert.rejects(unwrap(toBroken.GET("/clients")), { name: "NetworkError" });
});

test("a proxy may write the media type in its own way", async (t) => {
  for (const type of ["application/json; charset=utf-8", "Application/JSON ;charset=UTF-8", "application/json;"]) {
    const proxy = createServer((_, response) => {
      response.writeHead(200, { "Content-Type": type }).end('{"apps":1,"vendors":2,"categories":3}');
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    t.after(() => proxy.close());
    const behind = createClient({ baseUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, token });
    assert.equal((await unwrap(behind.GET("/catalog-apps/summary"))).vendors, 2);
  }
});

test("the 429 of a webhook that is tested twice is waited for, unless a signal ends that", async () => {
  const { id: client_id } = await newClient();
  const { id: webhook_id } = await unwrap(client.POST("/webhooks", { body: { client_id, url: "http://127.0.0.1:9/" } }));
  const params = { path: { webhook_id } };
  await unwrap(client.POST("/webhooks/{webhook_id}/test", { params }));
  await assert.rejects(
    client.POST("/webhooks/{webhook_id}/test", { params, signal: AbortSignal.timeout(300) }),
    (e) => e instanceof NetworkError && (e.cause as Error).name === "TimeoutError",
  );
  const { response } = await client.POST("/webhooks/{webhook_id}/test", { params, fetch: (request: Request) => fetch(request) });
  assert.equal(response.status, 429);
});
