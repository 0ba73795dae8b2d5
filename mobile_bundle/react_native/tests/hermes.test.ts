/** The built package in Hermes itself (0.12: the program that is on npm), made older as React Native does it. */

import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transformAsync } from "@babel/core";
import { build } from "esbuild";
import * as onnx from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleFiles, bundleText, goldenTexts, readFixture } from "../../web/tests/helpers.js";
import { Bundle, readFromMap, ScamClassifier, type OnnxRuntime } from "../dist/index.js";
import type { Reading } from "./hermes/onnxruntime-react-native.js";
import { metro } from "./metro.js";

const require = createRequire(import.meta.url);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const PLATFORM = { linux: "linux64-bin", darwin: "osx-bin", win32: "win64-bin" }[process.platform as string];
const PROGRAMS = join(dirname(require.resolve("hermes-engine-cli/package.json")), PLATFORM ?? "none");
/** What the client needs, this Hermes lacks and later ones have. */
const NEWER = "Array.prototype.at ??= function (i) { return this[i < 0 ? this.length + i : i]; };";

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "forewarn-hermes-"))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The shipped bundle with the first MB of its model, which is not run here and takes Hermes long to check; signed. */
function signedBundle() {
  const files = bundleFiles();
  files.set("model.onnx", files.get("model.onnx")!.subarray(0, 1_000_000));
  const manifest = JSON.parse(bundleText("manifest.json"));
  manifest.files["model.onnx"].sha256 = createHash("sha256").update(files.get("model.onnx")!).digest("hex");
  const content = Buffer.from(JSON.stringify(manifest));
  const [key, other] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
  files.set("manifest.json", content).set("manifest.sig", sign(null, content, key.privateKey));
  const raw = ({ publicKey }: typeof key) => publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  return { files, publicKey: raw(key).toString("base64"), otherKey: raw(other).toString("base64") };
}

/** What the model makes of the golden texts, window by window, on onnxruntime-node. */
async function readings(): Promise<Reading[]> {
  const done: Reading[] = [];
  const create: OnnxRuntime["InferenceSession"]["create"] = async (...model: [any]) => {
    const session = await onnx.InferenceSession.create(...model);
    const run: typeof session.run = async (feeds: onnx.InferenceSession.FeedsType) => {
      const outputs = await session.run(feeds);
      const [ids, logits] = [feeds.input_ids!.data as BigInt64Array, outputs.logits!.data as Float32Array];
      done.push({ ids: Array.from(ids, Number), logits: Array.from(logits) });
      return outputs;
    };
    return Object.assign(Object.create(session), { run });
  };
  const bundle = await Bundle.open("in memory", readFromMap(bundleFiles()));
  const classifier = await ScamClassifier.create(bundle, { Tensor: onnx.Tensor, InferenceSession: { create } });
  for (const text of goldenTexts()) await classifier.logits(text);
  return done;
}

/** One script for Hermes: bundled, and made older by React Native's own Babel preset. */
async function script(): Promise<string> {
  const { outputFiles } = await build({
    ...metro,
    entryPoints: [here("hermes/main.ts")],
    format: "iife",
    alias: { "onnxruntime-react-native": here("hermes/onnxruntime-react-native.ts") },
  });
  const result = await transformAsync(outputFiles[0]!.text, {
    configFile: false,
    babelrc: false,
    compact: false,
    presets: [[require.resolve("@react-native/babel-preset"), { enableBabelRuntime: false }]],
  });
  return result!.code!;
}

test("in Hermes: signature, checksums, golden vectors and the ids of difficult texts", async () => {
  const { files, ...keys } = signedBundle();
  const input = {
    ...keys,
    files: Object.fromEntries(Array.from(files, ([name, data]) => [name, Buffer.from(data).toString("base64")])),
    vectors: bundleText("vectors.jsonl"),
    readings: await readings(),
    cases: readFixture().cases.map(({ text, ids }) => ({ text, ids })),
  };
  const path = join(folder, "main.js");
  writeFileSync(path, `${NEWER}\nconst INPUT = ${JSON.stringify(input)};\n${await script()}`);
  for (const name of ["hermesc", "hermes"]) chmodSync(join(PROGRAMS, name), 0o755);
  execFileSync(join(PROGRAMS, "hermesc"), ["-O", "-emit-binary", "-out", `${path}.hbc`, path], { stdio: "pipe" });
  const output = execFileSync(join(PROGRAMS, "hermes"), ["-b", "-Xmicrotask-queue", `${path}.hbc`], {
    encoding: "utf8",
  });
  const { times, ...result } = JSON.parse(output);
  console.log(`Hermes, milliseconds: ${JSON.stringify(times)}; ${input.cases.length} difficult texts`);
  expect(result).toEqual({
    report: expect.objectContaining({ count: goldenTexts().length, failures: [] }),
    otherIds: [],
    refused: expect.stringMatching(/is not signed with this key/),
    evidence: true,
  });
  // Python reads the windows of a text together, and then rounds them a little otherwise.
  expect(result.report.worstLogit).toBeLessThan(1e-4);
});
