import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, unwrap, walk } from "@clientapps/client";

import { client, newCatalogApp, newClient } from "./api.js";

test("a walk sees every app of a client once, in order", async () => {
  const { id: client_id } = await newClient();
  const path = { client_id };
  const added: string[] = [];
  for (let n = 0; n < 7; n++) {
    const { id: catalog_app_id } = await newCatalogApp();
    const app = await unwrap(client.POST("/clients/{client_id}/apps", { params: { path }, body: { catalog_app_id } }));
    added.push(app.id);
  }
  for (const [page_size, pages] of [
    [1, 7],
    [3, 3],
    [7, 1],
    [500, 1],
  ] as const) {
    const seen: string[] = [];
    const names: string[] = [];
    let fetched = 0;
    for await (const app of walk((next) => {
      fetched++;
      return client.GET("/clients/{client_id}/apps", { params: { path, query: { page_size, ...next } } });
    })) {
      seen.push(app.id);
      names.push(app.catalog_app.canonical_name);
    }
    assert.equal(fetched, pages);
    assert.deepEqual(seen.toSorted(), added.toSorted());
    assert.deepEqual(names, names.toSorted());
  }
});

test("a walk sees the whole catalog once", async () => {
  await newCatalogApp();
  const { total_count } = await unwrap(client.GET("/catalog-apps", { params: { query: { type: "desktop", page_size: 1 } } }));
  const seen = new Set<string>();
  let rows = 0;
  for await (const app of walk((next) =>
    client.GET("/catalog-apps", { params: { query: { type: "desktop", page_size: 2, ...next } } }),
  )) {
    rows++;
    seen.add(app.id);
    assert.equal(app.type, "desktop");
  }
  assert.ok(rows > 4, `the demo catalog has ${rows} desktop apps`);
  assert.deepEqual([rows, seen.size], [total_count, total_count]);
});

test("a walk fetches no page that is not asked for, and fails as requests do", async () => {
  let fetched = 0;
  for await (const app of walk((next) => {
    fetched++;
    return client.GET("/catalog-apps", { params: { query: { page_size: 2, ...next } } });
  })) {
    assert.ok(app.id);
    break;
  }
  assert.equal(fetched, 1);
  const failing = walk(() => client.GET("/catalog-apps", { params: { query: { cursor: "garbled" } } }));
  const failure = await failing.next().catch((e: unknown) => e);
  assert.ok(failure instanceof ApiError);
  assert.equal(failure.details?.field, "cursor");
});
