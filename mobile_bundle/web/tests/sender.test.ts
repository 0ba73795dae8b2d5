import { expect, test } from "vitest";
import { load } from "../src/node.js";
import { CALLING_CODES, INSTITUTIONAL, moved, senderLogOdds } from "../src/sender.js";
import { BUNDLE, readFixture } from "./helpers.js";

const { senders } = readFixture();

test("the tables are Python's", () => {
  expect([...INSTITUTIONAL].sort()).toEqual(senders.institutional);
  expect(Object.fromEntries(CALLING_CODES)).toEqual(senders.calling_codes);
});

test("what a sender adds is what it adds in Python, for every type and locale", () => {
  for (const { sender, locale, added } of senders.added) {
    const got = senders.types.map((type) => senderLogOdds(sender, type, locale));
    expect([sender, locale, got]).toEqual([sender, locale, added]);
  }
  expect(new Set(senders.added.flatMap(({ added }) => added))).toEqual(new Set([0, 0.7, 1, 1.7]));
});

test("risk and action with a sender are Python's", async () => {
  const classifier = await load(BUNDLE);
  const texts = senders.verdicts.map(({ text }) => text);
  const plain = await classifier.scoreBatch(texts);
  const got = await classifier.scoreBatch(texts, {
    senders: senders.verdicts.map(({ sender }) => sender),
    locale: "en-SG",
  });
  let moves = 0;
  for (const [i, { risk, action }] of senders.verdicts.entries()) {
    expect(got[i]!.risk).toBeCloseTo(risk, 5);
    expect(got[i]!.action).toBe(action);
    expect(got[i]!.risk).toBeGreaterThanOrEqual(plain[i]!.risk);
    expect(got[i]).toMatchObject({ type: plain[i]!.type, verdict: plain[i]!.verdict });
    if (got[i]!.risk > plain[i]!.risk) moves++;
  }
  expect(moves).toBeGreaterThan(10);
});

test("certainty is not moved", () => {
  expect([moved(0, 1), moved(1, 1), moved(0.5, 0)]).toEqual([0, 1, 0.5]);
  expect(moved(0.5, 1)).toBeCloseTo(0.731059, 6);
});
