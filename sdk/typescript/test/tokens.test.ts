import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, createClient, unwrap } from "@clientapps/client";

import { baseUrl, client, newClient } from "./api.js";

test("a token is made, used, rotated and revoked", async () => {
  const { id: client_id } = await newClient();
  const apps = (token: string) =>
    unwrap(createClient({ baseUrl, token }).GET("/clients/{client_id}/apps", { params: { path: { client_id } } }));
  const made = await unwrap(
    client.POST("/tokens", { body: { name: "reporting", scopes: ["apps:read"], all_clients: false, client_ids: [client_id] } }),
  );
  const path = { token_id: made.id };
  const rotated = await unwrap(client.POST("/tokens/{token_id}/rotate", { params: { path }, body: { overlap_seconds: 60 } }));
  for (const secret of [made.secret, rotated.secret]) {
    assert.equal((await apps(secret)).total_count, 0);
  }
  const list = await unwrap(client.GET("/tokens", { params: { query: { sort_order: "desc" } } }));
  assert.ok(list.data.some(({ id }) => id === made.id));
  await unwrap(client.DELETE("/tokens/{token_id}", { params: { path } }));
  const { revoked_at, created_by } = await unwrap(client.GET("/tokens/{token_id}", { params: { path } }));
  assert.ok(revoked_at);
  assert.ok(created_by);
  await assert.rejects(apps(rotated.secret), (error) => error instanceof ApiError && error.status === 401);
});
