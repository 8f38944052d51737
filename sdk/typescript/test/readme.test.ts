import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

import { unwrap } from "@clientapps/client";

import { baseUrl, client } from "./api.js";

const run = promisify(execFile);
const cwd = new URL("..", import.meta.url); // the package: this is compiled into build/

function fenced(text: string, language: string): string {
  const block = text.match(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``))?.[1];
  assert.ok(block, `README.md has a block of ${language}`);
  return block;
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
  const options = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "--target", "ES2022", "--module", "NodeNext"];
  const compiled = await run("node_modules/.bin/tsc", [...options, "build/readme/program.ts"], { cwd }).catch((e) => e);
  assert.equal(compiled.stdout, "");
  const { stdout } = await run("node", ["build/readme/program.js"], { cwd });
  assert.equal(stdout, fenced(text, "text"));
});
