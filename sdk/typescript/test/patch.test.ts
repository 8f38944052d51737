import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient, type Schemas, unwrap } from "@clientapps/client";

import { baseUrl, client, newApp, token } from "./api.js";

const path = "/clients/{client_id}/apps/{app_id}";

test("absent, null and value arrive as three different things, and false as false", async () => {
  const { client_id, id: app_id, ...app } = await newApp();
  const params = { path: { client_id, app_id } };
  let sent = "";
  const recorded = createClient({
    baseUrl,
    token,
    async fetch(request) {
      sent = await request.clone().text();
      return fetch(request);
    },
  });
  const steps: { patch: Schemas["AppPatch"]; body: string; want: Required<Schemas["AppPatch"]> }[] = [
    {
      patch: { is_favorite: true, is_approved: true, license_count: 50 },
      body: '{"is_favorite":true,"is_approved":true,"license_count":50}',
      want: { is_favorite: true, is_approved: true, license_count: 50 },
    },
    { patch: {}, body: "{}", want: { is_favorite: true, is_approved: true, license_count: 50 } },
    {
      patch: { is_favorite: false },
      body: '{"is_favorite":false}',
      want: { is_favorite: false, is_approved: true, license_count: 50 },
    },
    {
      patch: { license_count: 0 },
      body: '{"license_count":0}',
      want: { is_favorite: false, is_approved: true, license_count: 0 },
    },
    {
      patch: { is_approved: false },
      body: '{"is_approved":false}',
      want: { is_favorite: false, is_approved: false, license_count: 0 },
    },
    {
      patch: { license_count: null },
      body: '{"license_count":null}',
      want: { is_favorite: false, is_approved: false, license_count: null },
    },
    {
      patch: { license_count: 2147483647 },
      body: '{"license_count":2147483647}',
      want: { is_favorite: false, is_approved: false, license_count: 2147483647 },
    },
    {
      // An untouched form field is undefined; some compiler settings allow that.
      patch: { is_favorite: true, license_count: undefined } as object,
      body: '{"is_favorite":true}',
      want: { is_favorite: true, is_approved: false, license_count: 2147483647 },
    },
  ];
  for (const { patch, body, want } of steps) {
    const updated = await unwrap(recorded.PATCH(path, { params, body: patch }));
    assert.equal(sent, body);
    assert.deepEqual(updated, { ...app, id: app_id, ...want, updated_at: updated.updated_at });
    assert.deepEqual(await unwrap(client.GET(path, { params })), updated);
  }
});

test("a new app has the same three states", async () => {
  assert.equal((await newApp()).license_count, null);
  assert.equal((await newApp({ license_count: null })).license_count, null);
  assert.equal((await newApp({ license_count: 0 })).license_count, 0);
  const app = await newApp({ license_count: 7, is_favorite: true, is_approved: false });
  assert.deepEqual([app.license_count, app.is_favorite, app.is_approved], [7, true, false]);
});

test("nullable fields of the catalog clear", async () => {
  const { catalog_app } = await newApp();
  const params = { path: { catalog_app_id: catalog_app.id } };
  const described = await unwrap(
    client.PATCH("/catalog-apps/{catalog_app_id}", { params, body: { description: "What it is", type: "web" } }),
  );
  assert.deepEqual([described.description, described.type, described.vendor], ["What it is", "web", null]);
  const cleared = await unwrap(
    client.PATCH("/catalog-apps/{catalog_app_id}", { params, body: { description: null } }),
  );
  assert.deepEqual([cleared.description, cleared.type], [null, "web"]);
});

test("entity tags: 304, a write that matches, and one that does not", async () => {
  const { client_id, id: app_id } = await newApp();
  const read = await client.GET(path, { params: { path: { client_id, app_id } } });
  const etag = read.response.headers.get("ETag") ?? "";
  assert.match(etag, /^".+"$/);

  const again = await client.GET(path, { params: { path: { client_id, app_id }, header: { "If-None-Match": etag } } });
  assert.equal(again.response.status, 304);
  assert.equal(again.data, undefined);

  const write = { params: { path: { client_id, app_id }, header: { "If-Match": etag } }, body: { is_favorite: true } };
  const updated = await client.PATCH(path, write);
  assert.equal(updated.data?.is_favorite, true);
  assert.notEqual(updated.response.headers.get("ETag"), etag);

  const stale = await client.PATCH(path, { ...write, body: { is_favorite: false } });
  assert.equal(stale.error?.error.code, "precondition_failed");
  assert.deepEqual(await unwrap(client.GET(path, { params: { path: { client_id, app_id } } })), updated.data);
});

test("204 has no data", async () => {
  const { client_id, id: app_id } = await newApp();
  assert.equal(await unwrap(client.DELETE(path, { params: { path: { client_id, app_id } } })), undefined);
});
