import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

import { baseUrl } from "./api.js";

const run = promisify(execFile);
const cwd = new URL("..", import.meta.url); // the package: this is compiled into build/

function fenced(text: string, language: string): string {
  const block = text.match(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``))?.[1];
  assert.ok(block, `README.md has a block of ${language}`);
  return block;
}

test("the program in README.md compiles, runs, and prints what stands below it", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const program = fenced(text, "ts");
  assert.ok(program.split("\n").length < 35, "it is a short program");
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  await writeFile(new URL("build/readme/program.ts", cwd), program.replaceAll("http://127.0.0.1:8080/v2", baseUrl));
  const options = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "--target", "ES2022", "--module", "NodeNext"];
  const compiled = await run("node_modules/.bin/tsc", [...options, "build/readme/program.ts"], { cwd }).catch((e) => e);
  assert.equal(compiled.stdout, "");
  const { stdout } = await run("node", ["build/readme/program.js"], { cwd });
  assert.equal(stdout, fenced(text, "text"));
});
