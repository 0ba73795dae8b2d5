import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkVectors, LOGIT_TOLERANCE, type ScamClassifier } from "../src/index.js";
import * as node from "../src/node.js";
import * as web from "../src/web.js";
import { BUNDLE, bundleFiles, bundleText, figures, goldenTexts, NANO } from "./helpers.js";

const runtimes = {
  "onnxruntime-node, from a folder": { bundle: BUNDLE, open: () => node.load(BUNDLE) },
  "onnxruntime-node, from a file: URL": { bundle: BUNDLE, open: () => node.load(pathToFileURL(BUNDLE)) },
  "onnxruntime-web in Node, from memory": { bundle: BUNDLE, open: () => web.load(bundleFiles()) },
  "onnxruntime-node, nano": { bundle: NANO, open: () => node.load(NANO) },
  "onnxruntime-web in Node, nano": { bundle: NANO, open: () => web.load(bundleFiles(NANO)) },
};

describe.each(Object.entries(runtimes))("%s", (name, { bundle, open }) => {
  let classifier: ScamClassifier;
  let loadMs: number;
  beforeAll(async () => {
    const start = performance.now();
    classifier = await open();
    loadMs = performance.now() - start;
  });
  afterAll(() => classifier.release());

  test("all golden vectors: ids and verdicts exactly, logits closely", async () => {
    const report = await checkVectors(classifier, bundleText("vectors.jsonl", bundle));
    expect(report.failures).toEqual([]);
    expect(report.count).toBe(goldenTexts(bundle).length);

    const times: number[] = [];
    for (const text of goldenTexts(bundle)) {
      const start = performance.now();
      await classifier.score(text);
      times.push(performance.now() - start);
    }
    console.log(figures(name, report, loadMs, times));
  });

  test("a batch gives each text the verdict that it has alone, also when asked for at once", async () => {
    const texts = goldenTexts(bundle).slice(0, 20);
    const batch = await classifier.scoreBatch(texts);
    const atOnce = await Promise.all(texts.map((text) => classifier.score(text)));
    const single = [];
    for (const text of texts) single.push(await classifier.score(text));
    expect(batch).toEqual(single);
    expect(atOnce).toEqual(single);
  });
});

test("a vector that does not hold is reported", async () => {
  const classifier = await node.load(BUNDLE);
  const [line] = bundleText("vectors.jsonl").split("\n");
  const golden = JSON.parse(line!);
  const check = async (change: object) =>
    (await checkVectors(classifier, JSON.stringify({ ...golden, ...change }))).failures;
  expect(await check({})).toEqual([]);
  expect(await check({ ids: [...golden.ids, 3] })).toHaveLength(1);
  expect(await check({ normalised: "x" })).toHaveLength(1);
  expect(await check({ logits: golden.logits.map((x: number) => x + 2 * LOGIT_TOLERANCE) })).toHaveLength(1);
  expect(await check({ verdict: { ...golden.verdict, action: "other" } })).toHaveLength(1);
});
