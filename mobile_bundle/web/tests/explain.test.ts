import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { forewarningFor, parseForewarnings } from "../src/explain.js";
import { BundleError, ForewarnError, type ScamClassifier } from "../src/index.js";
import * as node from "../src/node.js";
import * as web from "../src/web.js";
import { BUNDLE, bundleFiles, readFixture } from "./helpers.js";

const { explanations, locales } = readFixture();

test("there are a few dozen texts with evidence and without, warned of and not", () => {
  expect(explanations.filter(({ evidence }) => evidence.length > 1).length).toBeGreaterThan(30);
  expect(explanations.filter(({ evidence }) => evidence.length === 0).length).toBeGreaterThan(3);
  expect(explanations.filter(({ forewarning }) => forewarning !== null).length).toBeGreaterThan(20);
  expect(explanations.filter(({ forewarning }) => forewarning === null).length).toBeGreaterThan(20);
});

// onnxruntime-web rounds otherwise (README.md has how far). A part whose weight is close to the least that is shown may
// then fall to the other side of it, so a few texts have other spans there. onnxruntime-node rounds as Python does, but for
// batches of another size: in a text that says the same over and over, parts weigh the same to the last digits, and which
// of them are shown is chance.
const runtimes: [string, () => Promise<ScamClassifier>, number, number][] = [
  ["onnxruntime-node", () => node.load(BUNDLE), 0.02, 0.001],
  ["onnxruntime-web in Node", () => web.load(bundleFiles()), 0.05, 0.25],
];

describe.each(runtimes)("%s", (name, open, mayDiffer, tolerance) => {
  let classifier: ScamClassifier;
  beforeAll(async () => void (classifier = await open()));
  afterAll(() => classifier.release());

  test("evidence and forewarnings are Python's", async () => {
    const different: string[] = [];
    let worst = 0;
    let took = 0;
    for (const { text, locale, evidence, forewarning } of explanations) {
      const start = performance.now();
      const got = await classifier.score(text, { explain: true, locale });
      took += performance.now() - start;
      expect(got.forewarning ?? null).toBe(forewarning);
      if (places(got.evidence!) !== places(evidence)) different.push(text);
      else got.evidence!.forEach((span, i) => (worst = Math.max(worst, Math.abs(span.weight - evidence[i]!.weight))));
    }
    console.log(
      `${name}: ${explanations.length} explanations, ${different.length} with other spans, ` +
        `worst weight of the same spans ${worst.toPrecision(2)}, ` +
        `on average ${(took / explanations.length).toFixed(0)} ms`,
    );
    expect(different.slice(Math.floor(mayDiffer * explanations.length))).toEqual([]);
    expect(worst).toBeLessThan(tolerance);
  });
});

function places(spans: readonly { start: number; end: number; text: string }[]): string {
  return JSON.stringify(spans.map(({ start, end, text }) => [start, end, text]));
}

test("an explained verdict is the verdict, and only an explained one has evidence", async () => {
  const classifier = await node.load(BUNDLE);
  const texts = ["Your parcel is held. Pay the 1.99 fee today: post-redeliver.example/pay", "See you at dinner", ""];
  const plain = await classifier.scoreBatch(texts);
  const explained = await classifier.scoreBatch(texts, { explain: true, locale: "de-AT" });
  for (const [i, verdict] of plain.entries()) {
    expect(Object.keys(verdict)).not.toContain("evidence");
    expect(explained[i]).toMatchObject({ ...verdict });
  }
  expect(explained[0]!.forewarning).not.toBe((await classifier.score(texts[0]!, { explain: true })).forewarning);
  expect(explained[1]!.forewarning).toBeUndefined();
  expect(explained[2]!.evidence).toEqual([]);
});

test("the nearest locale is Python's", () => {
  const texts = new Map(["en", "zh-hans", "zh-hant", "pt", "pt-br", "sr-latn"].map((tag) => [tag, tag]));
  for (const { locale, taken } of locales) {
    expect([locale, forewarningFor(texts, locale) ?? null]).toEqual([locale, taken]);
  }
  expect(forewarningFor(new Map([["de", "nie"]]), "fr")).toBeUndefined();
});

test.each(["{", "null", '{"loan": null}', '{"loan": 1}'])("forewarnings.json of %s is refused", (json) => {
  expect(() => parseForewarnings(json)).toThrow(BundleError);
});

test("a sender that is no text, and a batch with too few, are refused without a word of them", async () => {
  const classifier = await node.load(BUNDLE);
  await expect(classifier.score("hello", { sender: 6591234567 as unknown as string })).rejects.toThrow(
    /^a sender is a string, not of type number$/,
  );
  await expect(classifier.scoreBatch(["a", "b"], { senders: ["c"] })).rejects.toThrow(ForewarnError);
});
