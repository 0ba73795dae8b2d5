import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { load, type ScamClassifier } from "../src/node.js";
import { BundleError } from "../src/index.js";
import { Tokenizer } from "../src/tokenizer.js";
import { clean } from "../src/text.js";
import { BUNDLE, bundleText, readFixture, type Fixture } from "./helpers.js";

let fixture: Fixture;
let classifier: ScamClassifier;
let tokenizer: Tokenizer;

beforeAll(async () => {
  fixture = readFixture();
  classifier = await load(BUNDLE);
  tokenizer = Tokenizer.parse(bundleText("tokenizer.json"));
});

test("ids of difficult texts are Python's", () => {
  expect(fixture.cases.length).toBeGreaterThan(500);
  const wrong = fixture.cases.filter(({ text, ids }) => classifier.encode(text).join() !== ids.join());
  expect(wrong.map(({ text }) => text)).toEqual([]);
});

test("pieces stand where they stand in Python, through everything that normalising moves", () => {
  const room = classifier.maxLength - tokenizer.frame([]).length;
  const wrong = fixture.cases.filter(({ text, pieces }) => {
    const spans = tokenizer.spans(clean(text)).slice(0, room).filter(([start, end]) => end > start);
    return spans.join() !== pieces.join();
  });
  expect(wrong.map(({ text }) => text)).toEqual([]);
});

test("a toy tokenizer cuts as in Python where costs are close or equal", () => {
  const toy = Tokenizer.parse(fixture.toy.tokenizer);
  for (const { text, ids } of fixture.toy.cases) expect([text, toy.frame(toy.ids(text))]).toEqual([text, ids]);
});

test("the same texts are blank as in Python", async () => {
  const wrong: string[] = [];
  for (const { text, blank } of fixture.cases) {
    if (((await classifier.score(text)).typeScore === 0) !== blank) wrong.push(text);
  }
  expect(wrong).toEqual([]);
});

test("every character normalises and splits as in Python", () => {
  const wrong = fixture.characters.filter(({ start, sha256 }) => blockDigest(start) !== sha256);
  expect(wrong.map(({ start }) => `U+${start.toString(16)}`)).toEqual([]);
});

function blockDigest(start: number): string {
  const lines: string[] = [];
  for (let code = start; code < start + fixture.block; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const character = String.fromCodePoint(code);
    const alone = tokenizer.normalise(`a${character}b`);
    const among = tokenizer.normalise(`x\u0301${character}\u0334\u0345`);
    lines.push(`${alone}|${among}|${tokenizer.frame(tokenizer.ids(`a${character}1`)).length}`);
  }
  return createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 16);
}

test("ids are never more than the model reads", () => {
  for (const { text } of fixture.cases)
    expect(classifier.encode(text).length).toBeLessThanOrEqual(classifier.maxLength);
});

describe("a tokenizer.json with a step that is not ours is refused", () => {
  const changes: [string, (t: any) => void][] = [
    ["another normaliser", (t) => t.normalizer.normalizers.push({ type: "StripAccents" })],
    ["another pattern", (t) => (t.normalizer.normalizers[1].pattern.Regex = "\\p{Cc}")],
    ["another pre-tokenizer", (t) => (t.pre_tokenizer.pretokenizers[0] = { type: "Whitespace" })],
    ["one pre-tokenizer more", (t) => t.pre_tokenizer.pretokenizers.push({ type: "Punctuation" })],
    ["another model", (t) => (t.model.type = "WordPiece")],
    ["an added token that is normalised", (t) => (t.added_tokens[0].normalized = true)],
    ["no normaliser", (t) => (t.normalizer = null)],
  ];
  test.each(changes)("%s", (_, change) => {
    const content = JSON.parse(bundleText("tokenizer.json"));
    change(content);
    expect(() => Tokenizer.parse(JSON.stringify(content))).toThrow(BundleError);
  });
});
