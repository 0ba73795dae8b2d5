/** Texts that are longer than the model reads at once. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { load, type ScamClassifier } from "../src/node.js";
import { windowStarts } from "../src/windows.js";
import { BUNDLE } from "./helpers.js";

const HONEST = "Hi, are we still on for dinner on Saturday? I will bring the salad and the bread. ";
/** Long enough that there is a window that holds little else. */
const SCAM = (
  "Congratulations! Your number was drawn and you have WON a prize of 5000 dollars. To claim it you must pay the 20 " +
  "dollar processing fee today at http://claim-prize.example/now with your card. The prize expires at midnight and " +
  "goes to somebody else. Do not tell anyone until the money has arrived. Click http://claim-prize.example/now and " +
  "enter your card number and PIN to receive your winnings. "
).repeat(2);

let classifier: ScamClassifier;
beforeAll(async () => void (classifier = await load(BUNDLE)));
afterAll(() => classifier.release());

test.each([
  [0, 10, [0]],
  [10, 10, [0]],
  [11, 10, [0, 1]],
  [18, 10, [0, 4, 8]],
  [100, 10, [0, 6, 13, 20, 27, 34, 41, 48, 55, 62, 69, 76, 83, 90]],
  [1000, 10, Array.from({ length: 16 }, (_, i) => 66 * i)],
  [4, 1, [0, 1, 2, 3]],
  [300, 126, [0, 87, 174]],
])("windows of %i pieces, with room for %i, lie where they lie in Python", (pieces, room, starts) => {
  expect(windowStarts(pieces, room)).toEqual(starts);
});

test("windows reach from the first piece to the last", () => {
  for (let pieces = 1; pieces < 3000; pieces += 7) {
    const starts = windowStarts(pieces, 126);
    expect([starts[0], starts.at(-1)]).toEqual([0, Math.max(0, pieces - 126)]);
    expect(starts.length).toBeLessThanOrEqual(16);
    for (const [i, start] of starts.slice(1).entries()) expect(start).toBeGreaterThan(starts[i]!);
  }
});

test.each([
  ["before", SCAM + HONEST.repeat(20)],
  ["within", HONEST.repeat(12) + SCAM + HONEST.repeat(12)],
  ["behind", HONEST.repeat(20) + SCAM],
  ["behind emoji (two units each) and", `${HONEST}😀 🎉 `.repeat(12) + SCAM],
])("a scam %s a long honest text is found, and the evidence points to it", async (_, text) => {
  expect(classifier.encode(text).length).toBe(classifier.maxLength);
  const honest = await classifier.score(HONEST.repeat(20));
  expect(honest).toMatchObject({ verdict: "legitimate", action: "allow" });

  const verdict = await classifier.score(text, { explain: true });
  expect(verdict).toMatchObject({ verdict: "scam", type: "prize" });
  expect(verdict.evidence!.length).toBeGreaterThan(0);
  const from = text.indexOf(SCAM);
  for (const { start, end, text: part } of verdict.evidence!) {
    expect(text.slice(start, end)).toBe(part);
    // A few words are taken out together, so that a span may begin with the last honest ones.
    expect(end).toBeGreaterThan(from);
    expect(start).toBeLessThan(from + SCAM.length);
  }
});

test("a long text has the same verdict alone, in a batch and explained", async () => {
  const texts = [HONEST, HONEST.repeat(20) + SCAM, "", SCAM];
  const alone = [];
  for (const text of texts) alone.push(await classifier.score(text));
  expect(await classifier.scoreBatch(texts)).toEqual(alone);
  for (const [i, verdict] of (await classifier.scoreBatch(texts, { explain: true })).entries()) {
    expect(verdict).toMatchObject({ ...alone[i]! });
  }
});
