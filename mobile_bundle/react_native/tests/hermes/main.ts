/** Runs in Hermes: opens the signed bundle, checks the golden vectors and the ids of difficult texts. */

import { fromBase64 } from "@exodus/bytes/base64.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { checkVectors, load } from "../../dist/index.js";
import { replay, type Reading } from "./onnxruntime-react-native.js";

declare const print: (line: string) => void;
declare const INPUT: {
  files: Record<string, string>;
  vectors: string;
  readings: Reading[];
  publicKey: string;
  otherKey: string;
  cases: { text: string; ids: number[] }[];
};

async function main(): Promise<void> {
  const { vectors, readings, publicKey, otherKey, cases } = INPUT;
  replay(readings);
  const times: Record<string, number> = {};
  const timed = async <T>(what: string, run: () => T | Promise<T>): Promise<T> => {
    const start = Date.now();
    const result = await run();
    times[what] = Date.now() - start;
    return result;
  };
  const files = await timed(
    "base64, 2.8 MB",
    () => new Map(Object.entries(INPUT.files).map(([name, content]) => [name, fromBase64(content)])),
  );
  await timed("sha256, 1 MB", () => sha256(files.get("model.onnx")!));
  const classifier = await timed("load", () => load(files, { publicKey }));
  const report = await timed("vectors", () => checkVectors(classifier, vectors));
  const otherIds = await timed("difficult", () =>
    cases.flatMap(({ text, ids }) => {
      const got = classifier.encode(text);
      // As numbers, since lone surrogates do not survive printing.
      const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
      return got.join() === ids.join() ? [] : [{ units, got, ids }];
    }),
  );
  const refused = await load(files, { publicKey: otherKey }).catch((error: Error) => error.message);
  const { evidence } = await classifier.score("Your parcel is held: pay.example/x", { explain: true });
  print(JSON.stringify({ report, otherIds, refused, evidence: Array.isArray(evidence), times }));
}

main().catch((error) => print(JSON.stringify({ failed: String(error), stack: String(error.stack).slice(0, 2000) })));
