import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { ApiError, createClient, ForeignError, type Schemas, unwrap } from "@clientapps/client";

import { client, newCatalogApp, token } from "./api.js";

const clientPath = "/clients/{client_id}";

test("a client is created with its own id, suspended, activated and deleted", async () => {
  const client_id = randomUUID();
  const params = { path: { client_id } };
  const failure = (status: number, code: string, message: string) => (error: unknown) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.code, error.message, error.details], [status, code, message, { client_id }]);
    return true;
  };
  const create = () => unwrap(client.POST("/clients", { body: { id: client_id, name: "Test" } }));
  const setStatus = (status: Schemas["ClientOrganization"]["status"]) => unwrap(client.PATCH(clientPath, { params, body: { status } }));
  const taken = failure(409, "conflict", "The id belongs to another client, or to one that was deleted");
  const created = await create();
  assert.deepEqual([created.id, created.status], [client_id, "active"]);
  await assert.rejects(create(), taken);
  const { id: catalog_app_id } = await newCatalogApp();
  const add = () => unwrap(client.POST("/clients/{client_id}/apps", { params, body: { catalog_app_id } }));

  assert.equal((await setStatus("suspended")).status, "suspended");
  await assert.rejects(add(), failure(409, "conflict", "Client is suspended"));
  await setStatus("active");
  await add();
  await assert.rejects(unwrap(client.DELETE(clientPath, { params })), failure(409, "conflict", "Client is not suspended"));
  await setStatus("suspended");

  // 204 when all of the client is gone. While the server goes on with a large one it is 202, and 404 in the end.
  let { response } = await client.DELETE(clientPath, { params });
  while (response.status === 202) {
    await setTimeout(1000 * Number(response.headers.get("Retry-After")));
    ({ response } = await client.DELETE(clientPath, { params }));
  }
  assert.ok(response.status === 204 || response.status === 404, `${response.status}`);
  await assert.rejects(unwrap(client.GET(clientPath, { params })), failure(404, "not_found", "Client not found"));
  await assert.rejects(create(), taken);
});

test("a deletion that goes on is no error", async (t) => {
  let type: string | undefined;
  const server = createServer((_, response) => {
    response.writeHead(202, { "Retry-After": "2", ...(type && { "Content-Type": type }) }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const large = createClient({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token });
  const params = { path: { client_id: randomUUID() } };
  const { response } = await large.DELETE(clientPath, { params });
  assert.deepEqual([response.status, response.headers.get("Retry-After")], [202, "2"]);
  assert.equal(await unwrap(large.DELETE(clientPath, { params })), undefined);
  await assert.rejects(large.GET(clientPath, { params }), ForeignError);
  type = "text/html";
  await assert.rejects(large.DELETE(clientPath, { params }), ForeignError);
});

test("vendors and categories are deleted when no app uses them", async () => {
  const name = `Test ${randomUUID()}`;
  const vendor = await unwrap(client.POST("/catalog-vendors", { body: { name } }));
  const category = await unwrap(client.POST("/catalog-categories", { body: { name } }));
  const body = { canonical_name: name, vendor_id: vendor.id, category_ids: [category.id] };
  const { id: catalog_app_id } = await unwrap(client.POST("/catalog-apps", { body }));
  const deletions = [
    () => unwrap(client.DELETE("/catalog-vendors/{vendor_id}", { params: { path: { vendor_id: vendor.id } } })),
    () => unwrap(client.DELETE("/catalog-categories/{category_id}", { params: { path: { category_id: category.id } } })),
  ];
  for (const remove of deletions) {
    await assert.rejects(remove(), { name: "ApiError", status: 409, code: "conflict" });
  }
  await unwrap(client.DELETE("/catalog-apps/{catalog_app_id}", { params: { path: { catalog_app_id } } }));
  for (const remove of deletions) {
    await remove();
    await assert.rejects(remove(), { name: "ApiError", status: 404, code: "not_found" });
  }
});
