import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, ifUnchanged, readModifyWrite, unwrap } from "@clientapps/client";

import { client, newApp } from "./api.js";

const app = "/clients/{client_id}/apps/{app_id}";

test("a write with ifUnchanged overwrites only what was read", async () => {
  const { client_id, id: app_id } = await newApp();
  const path = { client_id, app_id };
  const read = await client.GET(app, { params: { path } });
  const seen = { path, header: ifUnchanged(read.response) };
  const written = await client.PATCH(app, { params: seen, body: { is_favorite: true } });
  assert.equal(written.data?.is_favorite, true);
  const stale = await client.PATCH(app, { params: seen, body: { is_favorite: false } });
  assert.equal(stale.error?.error.code, "precondition_failed");
  // The answer of a write has the next tag.
  const removed = await client.DELETE(app, { params: { path, header: ifUnchanged(written.response) } });
  assert.equal(removed.response.status, 204);
});

test("a condition that cannot be stated is no reason to write without one", async () => {
  const { client_id } = await newApp();
  const catalog = await client.GET("/catalog-apps");
  assert.match(catalog.response.headers.get("ETag") ?? "", /^W\//);
  const apps = await client.GET("/clients/{client_id}/apps", { params: { path: { client_id } } });
  assert.equal(apps.response.headers.get("ETag"), null);
  for (const { response } of [catalog, apps]) {
    assert.throws(() => ifUnchanged(response), TypeError);
  }
});

test("of writers that each add one to what they have read, none overwrites another", async () => {
  const { client_id, id: app_id } = await newApp({ license_count: 0 });
  const path = { client_id, app_id };
  const writers = 8;
  await Promise.all(
    Array.from({ length: writers }, () =>
      readModifyWrite(async () => {
        const { data, response } = await client.GET(app, { params: { path } });
        const body = { license_count: (data?.license_count ?? 0) + 1 };
        return unwrap(client.PATCH(app, { params: { path, header: ifUnchanged(response) }, body }));
      }),
    ),
  );
  assert.equal((await unwrap(client.GET(app, { params: { path } }))).license_count, writers);
});

test("readModifyWrite gives up on an object that is never left alone, and on every other error at once", async () => {
  const { client_id, id: app_id } = await newApp();
  for (const [code, attempts, id] of [
    ["precondition_failed", 20, app_id],
    ["not_found", 1, client_id],
  ] as const) {
    let made = 0;
    await assert.rejects(
      readModifyWrite(() => {
        made++;
        const params = { path: { client_id, app_id: id }, header: { "If-Match": '"stale"' } };
        return unwrap(client.PATCH(app, { params, body: {} }));
      }),
      (e) => e instanceof ApiError && e.code === code,
    );
    assert.equal(made, attempts);
  }
});
