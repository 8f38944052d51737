import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { type AppRow, createClient, exportApps, exportCatalog, ForeignError, NetworkError, unwrap } from "@clientapps/client";

import { baseUrl, client, newApp, newCatalogApp, newClient, token } from "./api.js";

async function all<Row>(rows: AsyncIterable<Row>): Promise<Row[]> {
  const got: Row[] = [];
  for await (const row of rows) got.push(row);
  return got;
}

const ndjson = (rows: object[]) => ({
  body: rows.map((row) => JSON.stringify(row) + "\n").join(""),
  bodySerializer: String,
  headers: { "Content-Type": "application/x-ndjson" },
});

/** A client of a server of the test. */
async function servedBy(listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { server, client: createClient({ baseUrl: `http://127.0.0.1:${port}/v2`, token }) };
}

const clientId = randomUUID();

test("an export has all rows that match, and its import changes what was edited, but for a dry run", async () => {
  const { id: client_id } = await newClient();
  for (const fields of [{ is_favorite: true, license_count: 7 }, {}, {}]) {
    const { id: catalog_app_id } = await newCatalogApp();
    await unwrap(client.POST("/clients/{client_id}/apps", { params: { path: { client_id } }, body: { catalog_app_id, ...fields } }));
  }
  const favorites = await all(exportApps(client, { clientId: client_id, query: { is_favorite: true } }));
  assert.deepEqual(favorites, [{ ...favorites[0], is_favorite: true, is_approved: false, license_count: 7 }]);
  const query = { sort_order: "desc" } as const;
  const rows = await all(exportApps(client, { clientId: client_id, query }));
  assert.equal(rows.length, 3);
  assert.deepEqual(rows, rows.toSorted((a, b) => (a.canonical_name < b.canonical_name ? 1 : -1)));

  const edited: AppRow[] = rows.map((row) => ({ ...row, is_approved: row.is_favorite }));
  const imported = async (dry_run: boolean) => {
    const params = { path: { client_id }, query: { dry_run } };
    const { data, response } = await client.POST("/clients/{client_id}/apps/import", { params, ...ndjson(edited) });
    return [data, response.headers.get("Dry-Run")];
  };
  assert.deepEqual(await imported(true), [{ created: 0, updated: 1, unchanged: 2 }, "true"]);
  assert.deepEqual(await imported(false), [{ created: 0, updated: 1, unchanged: 2 }, null]);
  assert.deepEqual(await imported(false), [{ created: 0, updated: 0, unchanged: 3 }, null]);
  assert.deepEqual(await all(exportApps(client, { clientId: client_id, query })), edited);
});

test("all columns of the catalog come, and go back", async () => {
  const canonical_name = `Exported ${randomUUID()}`;
  const row = {
    canonical_name,
    description: "=é\u2028",
    display_colour: "#4A154B",
    logo: "https://cdn.example.com/x.png",
    type: "desktop",
    vendor: `Vendor of ${canonical_name}`,
    vendor_url: "https://www.example.com/",
    categories: [`Category of ${canonical_name}`],
    url_patterns: ["https://a.example.com/*", "https://b.example.com/*"],
    desktop_aliases: [],
  };
  const { created } = await unwrap(client.POST("/catalog-apps/import", ndjson([row])));
  assert.equal(created, 1);
  assert.deepEqual(await all(exportCatalog(client, { query: { q: canonical_name } })), [row]);
  assert.ok((await all(exportCatalog(client))).length > 10);
});

test("dry_run tries a write of any kind", async () => {
  const { client_id, id: app_id } = await newApp();
  const path = { client_id, app_id };
  const query = { dry_run: true };
  const tried = await unwrap(
    client.PATCH("/clients/{client_id}/apps/{app_id}", { params: { path, query }, body: { is_approved: true } }),
  );
  assert.equal(tried.is_approved, true);
  const updates = [{ id: app_id, license_count: 5 }, { id: client_id }];
  const result = await unwrap(
    client.PATCH("/clients/{client_id}/apps", { params: { path, query: { ...query, atomic: true } }, body: { updates } }),
  );
  assert.deepEqual(
    result.failed.map(({ id, code }) => [id, code]),
    [
      [app_id, "not_attempted"],
      [client_id, "not_found"],
    ],
  );
  const app = await unwrap(client.GET("/clients/{client_id}/apps/{app_id}", { params: { path } }));
  assert.deepEqual([app.is_approved, app.license_count], [false, null]);
});

test("a refusal is thrown", async () => {
  const unknown = createClient({ baseUrl, token: "unknown" });
  await assert.rejects(all(exportApps(client, { clientId })), { name: "ApiError", status: 404, code: "not_found" });
  await assert.rejects(all(exportCatalog(unknown)), { name: "ApiError", status: 401 });
  const page = { page_size: 1 } as object;
  await assert.rejects(all(exportCatalog(client, { query: page })), { name: "ApiError", status: 400 });
  for (const type of ["text/html", "application/json"]) {
    const foreign = createClient({ baseUrl, token, fetch: async () => new Response("{}", { headers: { "Content-Type": type } }) });
    await assert.rejects(all(exportCatalog(foreign)), ForeignError);
  }
});

test("an export that is cut is no short export: between rows, within one, and by a clean end within one", async () => {
  const row = '{"canonical_name":"Slack"}\n';
  for (const [sent, ended] of [
    ["", false],
    [row + row, false],
    [row + row + row.slice(0, 9), false],
    [row + row + row.slice(0, 9), true],
  ] as const) {
    const { server, client } = await servedBy((_, response) => {
      response.writeHead(200, { "Content-Type": "application/x-ndjson" });
      response.write(sent, () => (ended ? response.end() : response.destroy()));
      response.flushHeaders();
    });
    let rows = 0;
    const reading = async () => {
      for await (const { canonical_name } of exportApps(client, { clientId })) {
        assert.equal(canonical_name, "Slack");
        rows++;
      }
    };
    await assert.rejects(reading(), NetworkError);
    assert.ok(rows <= 2, `${rows} rows`);
    server.close();
  }
});

test("a loop that is left, or ended by its signal, closes its connection", async () => {
  for (const leave of [true, false]) {
    let close: () => void;
    const closed = new Promise<void>((resolve) => (close = resolve));
    const { server, client } = await servedBy((_, response) => {
      response.writeHead(200, { "Content-Type": "application/x-ndjson" });
      const more = setInterval(() => response.write('{"canonical_name":"Slack"}\n'), 1);
      response.on("close", () => {
        clearInterval(more);
        close();
      });
    });
    const stop = new AbortController();
    const reading = async () => {
      let rows = 0;
      for await (const { canonical_name } of exportApps(client, { clientId, signal: stop.signal })) {
        assert.equal(canonical_name, "Slack");
        if (++rows < 9) continue;
        if (leave) break;
        stop.abort(new Error("enough"));
      }
    };
    await (leave ? reading() : assert.rejects(reading(), { name: "NetworkError", message: /enough/ }));
    await closed;
    server.close();
  }
  const ended = exportApps(client, { clientId, signal: AbortSignal.abort() });
  await assert.rejects(all(ended), NetworkError);
});
