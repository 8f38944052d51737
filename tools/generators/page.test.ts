// Makes the calls of the reference page with the TypeScript clients of three generators, and reads every list and object of the demo with
// the generated Zod schemas.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { isErrorFromAlias } from "@zodios/core";
import createFetchClient from "openapi-fetch";

import { createClient } from "./out/hey/client/index.js";
import { listAppChanges, updateApp } from "./out/hey/sdk.gen.js";
import type { paths } from "./out/schema.js";
import { api, createApiClient } from "./out/zod.js";

const contoso = "aa7cf840-9ca9-46a3-9778-9015d6580d50";
const slack = "f1a2b3c4-d5e6-7890-abcd-ef1234567890";
const root = process.env.CLIENTAPPS_URL;
assert.ok(root, "run the test through tools/with-demo, as make test-generators does");
const baseUrl = `${root}/v2`;
const headers = { Authorization: "Bearer demo-token" };

interface Call {
  name: string;
  // A refused body does not have the generated type: any satisfies the compiler.
  body: any;
  status: number;
  license_count?: number | null;
  message?: string;
}
const calls: Call[] = JSON.parse(readFileSync("page.json", "utf8"));

test("openapi-typescript", async () => {
  const client = createFetchClient<paths, "application/json">({ baseUrl, headers }); // errors have a second type
  for (const { name, body, status, license_count, message } of calls) {
    const { data, error, response } = await client.PATCH("/clients/{client_id}/apps/{app_id}", {
      params: { path: { client_id: contoso, app_id: slack } },
      body,
    });
    assert.equal(response.status, status, name);
    assert.equal(data?.license_count, license_count, name);
    assert.equal(error?.error.message, message, name);
  }
});

test("@hey-api/openapi-ts", async () => {
  const client = createClient({ baseUrl, headers });
  const path = { client_id: contoso, app_id: slack };
  for (const { name, body, status, license_count, message } of calls) {
    const { data, error, response } = await updateApp({ client, path, body });
    assert.equal(response?.status, status, name);
    assert.equal(data?.license_count, license_count, name);
    assert.equal(error?.error.message, message, name);
  }
  const history = await listAppChanges({ client, path });
  assert.ok(history.data && history.data.total_count > 0);
});

test("openapi-zod-client", async () => {
  const client = createApiClient(baseUrl, { axiosConfig: { headers }, validate: "response" });
  for (const { name, body, status, license_count, message } of calls) {
    const call = client.patch("/clients/:client_id/apps/:app_id", body, { params: { client_id: contoso, app_id: slack } });
    if (status === 200) {
      assert.equal((await call).license_count, license_count, name);
      continue;
    }
    await assert.rejects(call, (error) => {
      // The error is parsed with the contract's schema for its status.
      assert.ok(isErrorFromAlias(api.api, "updateApp", error), String(error));
      assert.equal(error.response.status, status, name);
      assert.equal((error.response.data as { error: { message: string } }).error.message, message, name);
      return true;
    });
  }
});

// Every row is checked with its strict schema: an object has no properties outside of the contract.
test("openapi-zod-client reads all that the demo has", async () => {
  const client = createApiClient(baseUrl, { axiosConfig: { headers }, validate: "response" });
  const whole = { queries: { page_size: 500 } };
  const values = new Set<string>();
  for (const { id: client_id } of (await client.get("/clients", whole)).data) {
    await client.get("/clients/:client_id", { params: { client_id } });
    for (const { id: app_id } of (await client.get("/clients/:client_id/apps", { params: { client_id }, ...whole })).data) {
      const params = { client_id, app_id };
      await client.get("/clients/:client_id/apps/:app_id", { params });
      for (const row of (await client.get("/clients/:client_id/apps/:app_id/changes", { params, ...whole })).data) {
        for (const value of [row.old_value, row.new_value]) values.add(value === null ? "null" : typeof value);
      }
    }
  }
  assert.deepEqual([...values].sort(), ["boolean", "null", "number", "string"]);
  for (const { id: catalog_app_id } of (await client.get("/catalog-apps", whole)).data) {
    const params = { catalog_app_id };
    await client.get("/catalog-apps/:catalog_app_id", { params });
    await client.get("/catalog-apps/:catalog_app_id/url-patterns", { params, ...whole });
    await client.get("/catalog-apps/:catalog_app_id/desktop-aliases", { params, ...whole });
  }
  await client.get("/catalog-apps/summary");
  await client.get("/catalog-vendors", whole);
  await client.get("/catalog-categories", whole);
});
