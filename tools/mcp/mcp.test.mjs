// Tests /mcp with the protocol's TypeScript SDK, which has nothing in common with the server, and the demo server of tools/with-demo.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const { CLIENTAPPS_URL } = process.env;
assert.ok(CLIENTAPPS_URL, "run the test as make test-mcp does");
const client_id = "aa7cf840-9ca9-46a3-9778-9015d6580d50";
const app_id = "f1a2b3c4-d5e6-7890-abcd-ef1234567890";
const appURL = `${CLIENTAPPS_URL}/v2/clients/${client_id}/apps/${app_id}`;
const json = { "Content-Type": "application/json" };

async function connect(token) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${CLIENTAPPS_URL}/mcp`), {
      requestInit: { headers: { Authorization: `Bearer ${token}` } },
    }),
  );
  return client;
}

let client;
before(async () => {
  client = await connect("demo-token");
});
after(() => client?.close());

async function api(method, url, body) {
  const headers = { Authorization: "Bearer demo-token", ...json };
  return (await fetch(url, { method, headers, body: body && JSON.stringify(body) })).json();
}

// call returns the structured answer of a tool, which is also its last text.
async function call(name, args, failed = false) {
  const result = await client.callTool({ name, arguments: args });
  assert.equal(result.isError ?? false, failed, JSON.stringify(result));
  assert.deepEqual(JSON.parse(result.content.at(-1).text), result.structuredContent);
  return result.structuredContent;
}

test("the server says what it is, and lists its tools", async () => {
  assert.equal(client.getServerVersion().name, "clientapps");
  const { tools } = await client.listTools();
  assert.deepEqual(
    tools.map(({ name }) => name).sort(),
    ["add_app", "get_app", "list_apps", "list_changes", "list_clients", "search_catalog", "update_app", "update_apps"],
  );
  for (const { name, inputSchema, annotations } of tools) {
    assert.equal("confirmation" in inputSchema.properties, !annotations.readOnlyHint, name);
    assert.match(client.getInstructions(), name === "get_app" ? /./ : new RegExp(`\`${name}\``));
  }
});

test("an app is found, previewed, changed and told of", async () => {
  const { data: clients } = await call("list_clients", { q: "contoso" });
  assert.ok(clients.length > 0);
  const { data: apps } = await call("list_apps", { client_id, q: "slack" });
  assert.equal(apps[0].id, app_id);
  const was = await api("GET", appURL);
  const update = { client_id, app_id, is_favorite: !was.is_favorite, license_count: (was.license_count ?? 0) + 1 };
  const { written, changes, confirmation } = await call("update_app", update);
  assert.equal(written, false);
  assert.deepEqual(changes, [
    { field: "is_favorite", before: was.is_favorite, after: update.is_favorite },
    { field: "license_count", before: was.license_count, after: update.license_count },
  ]);
  assert.deepEqual(await api("GET", appURL), was);
  const now = await call("update_app", { ...update, confirmation });
  assert.deepEqual(await api("GET", appURL), now);
  assert.equal(now.license_count, update.license_count);
  const { data: history } = await call("list_changes", { client_id, app_id, since: now.updated_at });
  assert.ok(history.some(({ field, new_value }) => field === "license_count" && new_value === update.license_count));
});

test("a change by somebody else makes a confirmation worthless", async () => {
  const was = await api("GET", appURL);
  const update = { client_id, app_id, license_count: 77 };
  const { confirmation } = await call("update_app", update);
  await api("PATCH", appURL, { is_approved: !was.is_approved });
  const { error, status } = await call("update_app", { ...update, confirmation }, true);
  assert.deepEqual([status, error.code], [412, "precondition_failed"]);
  const other = await call("update_app", { ...update, license_count: 78, confirmation }, true);
  assert.equal(other.error.details.field, "confirmation");
});

test("resources are pages of the API", async () => {
  const { resources } = await client.listResources();
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.equal(resources.length + resourceTemplates.length, 4);
  const read = async (uri) => JSON.parse((await client.readResource({ uri })).contents[0].text);
  assert.deepEqual(await read("clientapps://catalog-apps"), await api("GET", `${CLIENTAPPS_URL}/v2/catalog-apps`));
  assert.deepEqual(await read(`clientapps://clients/${client_id}/apps`), await api("GET", `${CLIENTAPPS_URL}/v2/clients/${client_id}/apps`));
  assert.equal((await read("clientapps://openapi.json")).openapi, "3.0.3");
});

test("without a valid token nobody connects", async () => {
  await assert.rejects(connect("capp_wrong"), /401|Unauthorized|Authentication required/i);
});
