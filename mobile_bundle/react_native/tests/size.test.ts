import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { metro } from "./metro.js";

const KB = 1000;
const dist = new URL("../dist/", import.meta.url).pathname;

test("the package stays within 65 kB, with all that it brings within 160 kB", async () => {
  const own = readFileSync(`${dist}/index.js`);
  const { outputFiles } = await build({
    ...metro,
    entryPoints: [`${dist}/index.js`],
    minify: true,
    format: "esm",
    external: ["onnxruntime-react-native"],
  });
  const all = outputFiles[0]!.contents;
  const figures = (code: Uint8Array) => `${code.length} bytes, gzip ${gzipSync(code).length}`;
  console.log(`own: ${figures(own)}; with libraries: ${figures(all)}`);
  expect(own.length).toBeLessThan(65 * KB);
  expect(all.length).toBeLessThan(160 * KB);
});

test("nothing is left that Hermes may not have", () => {
  const code = readFileSync(`${dist}/index.js`, "utf8");
  expect(code).not.toMatch(/globalThis\.(crypto|fetch|process)/);
  // The name of a step in tokenizer.json, and no pattern.
  expect(code.match(/\\p\{\w+\}/g)).toEqual(["\\p{Cf}"]);
});
