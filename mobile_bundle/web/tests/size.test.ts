import { readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { WEB } from "./helpers.js";

const KB = 1000;

test("the built core stays within 30 kB", () => {
  const core = readFileSync(`${WEB}/dist/forewarn-core.js`);
  console.log(`core: ${core.length} bytes, gzip ${gzipSync(core).length}`);
  expect(core.length).toBeLessThan(30 * KB);
});

test("the one script to host stays within 120 kB, the WebAssembly within 15 MB", () => {
  const script = readFileSync(`${WEB}/dist/forewarn-web.js`);
  const wasm = readFileSync(`${WEB}/dist/ort-wasm-simd-threaded.wasm`);
  console.log(
    `script: ${script.length} bytes, gzip ${gzipSync(script).length}; wasm: ${wasm.length}, gzip ${gzipSync(wasm).length}`,
  );
  expect(script.length).toBeLessThan(120 * KB);
  expect(statSync(`${WEB}/dist/ort-wasm-simd-threaded.wasm`).size).toBeLessThan(15_000 * KB);
});

test("the core imports no runtime", () => {
  expect(readFileSync(`${WEB}/dist/forewarn-core.js`, "utf8")).not.toMatch(/\bimport\b|\brequire\(/);
});
