import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

import { unwrap } from "@clientapps/client";

import { baseUrl, client, newApp } from "./api.js";

const run = promisify(execFile);
const cwd = new URL("..", import.meta.url); // the package: this is compiled into build/

function fenced(text: string, language: string): string {
  const block = text.match(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``))?.[1];
  assert.ok(block, `README.md has a block of ${language}`);
  return block;
}

async function compile(file: string): Promise<void> {
  const options = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "--target", "ES2022", "--module", "NodeNext"];
  const compiled = await run("node_modules/.bin/tsc", [...options, file], { cwd }).catch((e) => e);
  assert.equal(compiled.stdout, "");
}

test("the program in README.md compiles, runs, and prints the output shown below it", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const program = fenced(text, "ts");
  assert.ok(program.split("\n").length < 35, "it is a short program");
  // Other tests may have changed the demo's app: reset it.
  const path = { client_id: "aa7cf840-9ca9-46a3-9778-9015d6580d50", app_id: "f1a2b3c4-d5e6-7890-abcd-ef1234567890" };
  const body = { is_favorite: false, license_count: 50 };
  await unwrap(client.PATCH("/clients/{client_id}/apps/{app_id}", { params: { path }, body }));
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  await writeFile(new URL("build/readme/program.ts", cwd), program.replaceAll("http://127.0.0.1:8080/v2", baseUrl));
  await compile("build/readme/program.ts");
  const { stdout } = await run("node", ["build/readme/program.js"], { cwd });
  assert.equal(stdout, fenced(text, "text"));
});

test("the lines in README.md that export and import compile, and say what would change", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const lines = text.match(/```ts\n(let body = [^]*?)```/)?.[1];
  assert.ok(lines, "README.md has these lines");
  const { client_id } = await newApp({ is_favorite: true });
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  const head = `import { createClient, exportApps, unwrap } from "@clientapps/client";
const client = createClient({ baseUrl: "${baseUrl}", token: "demo-token" });
const client_id = "${client_id}";
`;
  await writeFile(new URL("build/readme/export.ts", cwd), head + lines);
  await compile("build/readme/export.ts");
  const { stdout } = await run("node", ["build/readme/export.js"], { cwd });
  assert.equal(stdout, "1 would change, 0 would not\n");
});

test("the lines in README.md that follow changes print what changes while they run", async (t) => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const lines = text.match(/```ts\n(const end = [^]*?)```/)?.[1];
  assert.ok(lines, "README.md has these lines");
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  const head = `import { createClient, follow, unwrap } from "@clientapps/client";
const client = createClient({ baseUrl: "${baseUrl}", token: "demo-token" });
`;
  await writeFile(new URL("build/readme/follow.ts", cwd), head + lines);
  await compile("build/readme/follow.ts");
  const { client_id, id: app_id } = await newApp();
  const program = spawn("node", ["build/readme/follow.js"], { cwd, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => program.kill());
  let printed = "";
  program.stdout.on("data", (chunk: Buffer) => {
    printed += chunk;
  });
  const params = { path: { client_id, app_id } };
  const deadline = Date.now() + 30_000;
  for (let is_approved = true; !/^is_approved [\w-]+$/m.test(printed); is_approved = !is_approved) {
    assert.ok(Date.now() < deadline && program.exitCode === null, `printed ${printed}`);
    await unwrap(client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { is_approved } }));
    await new Promise((resolve) => setTimeout(resolve, 100)); // it does not say when it has begun
  }
});
