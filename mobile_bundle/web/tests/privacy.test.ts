import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BUNDLE, WEB } from "./helpers.js";

test("ONNX Runtime for Node leaves no device id and no events behind", () => {
  const home = mkdtempSync(join(tmpdir(), "forewarn-"));
  try {
    const { ORT_DISABLE_TELEMETRY: _, ...inherited } = process.env;
    const script = `
      import { load } from ${JSON.stringify(`${WEB}/dist/node.js`)};
      const classifier = await load(${JSON.stringify(BUNDLE)});
      console.log((await classifier.score("See you at seven, mum")).verdict);
    `;
    const run = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      env: { ...inherited, HOME: home, XDG_CACHE_HOME: join(home, "cache"), XDG_DATA_HOME: join(home, "data") },
      encoding: "utf8",
    });
    expect(run.stdout.trim()).toBe("legitimate");
    expect(readdirSync(home)).toEqual([]);
  } finally {
    rmSync(home, { recursive: true });
  }
});
