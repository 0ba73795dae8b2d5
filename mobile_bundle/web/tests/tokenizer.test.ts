import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { load, type ScamClassifier } from "../src/node.js";
import { BundleError } from "../src/index.js";
import { Tokenizer } from "../src/tokenizer.js";
import { BUNDLE, bundleText, WEB } from "./helpers.js";

interface Fixture {
  tokenizer_sha256: string;
  block: number;
  cases: { text: string; ids: number[]; blank: boolean }[];
  toy: { tokenizer: string; cases: { text: string; ids: number[] }[] };
  characters: { start: number; sha256: string }[];
}

const MAKE = "run: python mobile_bundle/web/scripts/make_fixture.py (`make test-web` does)";
let fixture: Fixture;
let classifier: ScamClassifier;
let tokenizer: Tokenizer;

beforeAll(async () => {
  const path = `${WEB}/tests/fixture.json`;
  if (!existsSync(path)) throw new Error(`no tests/fixture.json; ${MAKE}`);
  fixture = JSON.parse(readFileSync(path, "utf8"));
  const content = bundleText("tokenizer.json");
  if (createHash("sha256").update(content).digest("hex") !== fixture.tokenizer_sha256) {
    throw new Error(`tests/fixture.json was made with another bundle; ${MAKE}`);
  }
  classifier = await load(BUNDLE);
  tokenizer = Tokenizer.parse(content);
});

test("ids of difficult texts are Python's", () => {
  expect(fixture.cases.length).toBeGreaterThan(500);
  const wrong = fixture.cases.filter(({ text, ids }) => classifier.encode(text).join() !== ids.join());
  expect(wrong.map(({ text }) => text)).toEqual([]);
});

test("a toy tokenizer cuts as in Python where costs are close or equal", () => {
  const toy = Tokenizer.parse(fixture.toy.tokenizer);
  for (const { text, ids } of fixture.toy.cases) expect([text, toy.encode(text, Infinity)]).toEqual([text, ids]);
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
    lines.push(`${alone}|${among}|${tokenizer.encode(`a${character}1`, Infinity).length}`);
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
