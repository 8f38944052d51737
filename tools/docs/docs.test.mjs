// Tests the page /docs in a real browser, with the demo server of tools/with-demo.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const { CHROMIUM, CLIENTAPPS_URL } = process.env;
assert.ok(CHROMIUM && CLIENTAPPS_URL, "run the test as make test-docs does");
const methods = ["get", "put", "post", "patch", "delete"];
const app = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890";

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    // A container has no sandbox. The other switches stop requests to the browser's vendor.
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-component-update", "--disable-sync"],
  });
});
after(() => browser?.close());

// open loads the page. `faults` collects errors in the browser and requests to other servers; it must stay empty.
async function open(t, hash = "", options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(120_000); // long, for a busy machine
  t.after(() => context.close());
  const faults = [];
  const requests = [];
  context.on("request", (request) => {
    requests.push(request);
    if (!request.url().startsWith(`${CLIENTAPPS_URL}/`)) faults.push(`request to ${request.url()}`);
  });
  context.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} for ${response.url()}`);
  });
  context.on("requestfailed", (request) => faults.push(`no answer for ${request.url()}`));
  context.on("console", (message) => faults.push(`console ${message.type()}: ${message.text()}`));
  context.on("weberror", (error) => faults.push(`uncaught: ${error.error()}`));
  await context.exposeFunction("reportViolation", (what) => faults.push(`against the policy: ${what}`));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => reportViolation(`${e.effectiveDirective} ${e.blockedURI}`));
  });
  const page = await context.newPage();
  await page.goto(`${CLIENTAPPS_URL}/docs${hash}`);
  await page.locator(".opblock").first().waitFor();
  return { page, faults, requests };
}

async function authorize(page) {
  await page.locator(".scheme-container .authorize").click();
  await page.locator(".auth-container input").fill("demo-token");
  await page.locator(".auth-container .authorize").click();
  await page.locator(".auth-container .btn-done").click();
}

// execute fills in the body, if any, and sends the request of an open operation.
async function execute(operation, body) {
  await operation.locator(".try-out__btn").click();
  if (body !== undefined) await operation.locator("textarea.body-param__text").fill(body);
  await operation.locator(".execute").click();
  const row = operation.locator(".live-responses-table tbody .response").first();
  await row.waitFor();
  return {
    status: (await row.locator(".response-col_status").innerText()).trim(),
    body: await row.locator(".response-col_description pre code").first().innerText(),
  };
}

async function call(path, init) {
  const response = await fetch(CLIENTAPPS_URL + path, { ...init, headers: { Authorization: "Bearer demo-token" } });
  return response.json();
}

test("it shows every operation of the contract, with every answer", async (t) => {
  const contract = await call("/openapi.json");
  const { page, faults } = await open(t);
  assert.equal(await page.title(), "clientapps API");
  const operations = Object.values(contract.paths).flatMap((path) => methods.map((m) => path[m]).filter(Boolean));
  assert.ok(operations.length > 30, `the contract has ${operations.length} operations`);
  assert.equal(await page.locator(".opblock").count(), operations.length);
  assert.equal(await page.locator(".opblock.is-open").count(), 0);
  await page.evaluate(() => document.querySelectorAll(".opblock-summary-control").forEach((control) => control.click()));
  await page.waitForFunction((n) => document.querySelectorAll(".responses-table").length === n, operations.length);
  const shown = await page.locator(".opblock").evaluateAll((blocks) =>
    blocks.map((block) => ({
      id: block.id,
      summary: block.querySelector(".opblock-summary-description").innerText,
      answers: [...block.querySelectorAll("tr.response")].map((row) => row.dataset.code),
      faults: block.querySelectorAll(".errors-wrapper, .loading-container").length,
    })),
  );
  const wanted = operations.map(({ operationId, tags, summary, responses }) => ({
    id: `operations-${tags[0]}-${operationId}`,
    summary,
    answers: Object.keys(responses),
    faults: 0,
  }));
  const byId = (a, b) => a.id.localeCompare(b.id);
  assert.deepEqual(shown.sort(byId), wanted.sort(byId));
  assert.deepEqual(faults, []);
});

test("it tries updateApp on the running server", async (t) => {
  const before = await call(app);
  const { page, faults, requests } = await open(t, "#/Apps/updateApp"); // opens what the link names
  await authorize(page);
  const operation = page.locator("#operations-Apps-updateApp");
  const count = (before.license_count ?? 0) + 1;
  const answer = await execute(operation, JSON.stringify({ license_count: count }));
  assert.equal(answer.status, "200");
  const after = await call(app);
  assert.deepEqual(JSON.parse(answer.body), after);
  assert.deepEqual(after, { ...before, license_count: count, updated_at: after.updated_at });

  const sent = requests.find((request) => request.method() === "PATCH");
  assert.equal(sent.url(), CLIENTAPPS_URL + app);
  assert.equal(sent.headers().authorization, "Bearer demo-token");
  assert.equal(sent.headers()["if-match"], undefined);
  assert.deepEqual(faults, []);
});

test("examples of optional parameters are not filled in", async (t) => {
  const { page, faults, requests } = await open(t, "#/Apps/listApps");
  await authorize(page);
  const answer = await execute(page.locator("#operations-Apps-listApps"));
  assert.equal(answer.status, "200");
  assert.equal(JSON.parse(answer.body).total_count, (await call(app.replace(/\/[^/]*$/, ""))).total_count);
  const sent = new URL(requests.findLast((request) => request.url().includes("/v2/")).url());
  assert.deepEqual(Object.fromEntries(sent.searchParams), { sort_by: "canonical_name", sort_order: "asc", page_size: "50" });
  assert.deepEqual(faults, []);
});

test("it filters, and follows the colour scheme", async (t) => {
  const { page, faults } = await open(t, "", { colorScheme: "dark" });
  await page.locator(".operation-filter-input").fill("catalog");
  await page.locator("#operations-Apps-listApps").waitFor({ state: "detached" });
  assert.ok(await page.locator("#operations-Catalog-listCatalogApps").isVisible());
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  await page.waitForFunction((dark) => getComputedStyle(document.body).backgroundColor !== dark, dark);
  assert.deepEqual(faults, []);
});
