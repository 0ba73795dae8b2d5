import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUNDLE, WEB } from "./helpers.js";

/** The same program that a developer signs and packs with. */
function forewarn(...args: string[]): string {
  return execFileSync(join(WEB, "../../.venv/bin/python"), ["-m", "forewarn.inference.cli", "bundle", ...args], {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
}

/** Two signed versions of the shipped bundle and a release of both, made by `forewarn bundle`. */
export interface Release {
  /** A temporary folder, with `first`, `second` and `release` in it. */
  readonly folder: string;
  readonly publicKey: string;
  /** A key that has signed nothing. */
  readonly otherKey: string;
  /** The versions' names. */
  readonly first: string;
  readonly second: string;
  remove(): void;
}

/** Make a release: in its second version one weight has moved, one forewarning is another, all else is the same. */
export function makeRelease(): Release {
  const folder = mkdtempSync(join(tmpdir(), "forewarn-release-"));
  const [first, second] = [join(folder, "first"), join(folder, "second")];
  for (const copy of [first, second]) cpSync(BUNDLE, copy, { recursive: true });

  const model = readFileSync(join(second, "model.onnx"));
  model[model.length >> 1]! ^= 1; // nearly all of the file is weights
  writeFileSync(join(second, "model.onnx"), model);
  const forewarnings = JSON.parse(readFileSync(join(second, "forewarnings.json"), "utf8"));
  forewarnings.parcel_delivery.en = "Couriers do not ask for a fee by text.";
  writeFileSync(join(second, "forewarnings.json"), JSON.stringify(forewarnings));
  const version = seal(second, "9999.1.0");

  const keys = ["key", "other"].map((name) => forewarn("keygen", join(folder, name)).match(/[A-Za-z0-9+/]{43}=/)![0]);
  for (const bundle of [first, second]) {
    forewarn("sign", bundle, "--key", join(folder, "key"));
    forewarn("pack", bundle, "--to", join(folder, "release"));
  }
  return {
    folder,
    publicKey: keys[0]!,
    otherKey: keys[1]!,
    first: JSON.parse(readFileSync(join(first, "manifest.json"), "utf8")).version,
    second: version,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Give a release out over HTTP; what `answer` makes of each path's file, if there is one, is sent, or else a 404. */
export async function serveRelease(
  release: Release,
  answer: (path: string, content: Buffer | undefined) => Buffer | undefined,
): Promise<{ readonly address: string; close(): void }> {
  const server = createServer((request, response) => {
    const path = request.url!.slice(1);
    const file = join(release.folder, "release", path);
    const content = answer(path, existsSync(file) ? readFileSync(file) : undefined);
    response.writeHead(content === undefined ? 404 : 200);
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Write a version and the true checksums into a bundle's manifest. */
function seal(bundle: string, version: string): string {
  const path = join(bundle, "manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  manifest.version = version;
  for (const name of Object.keys(manifest.files)) {
    const data = readFileSync(join(bundle, name));
    manifest.files[name] = { sha256: createHash("sha256").update(data).digest("hex"), bytes: data.length };
  }
  writeFileSync(path, JSON.stringify(manifest));
  return version;
}

/** The files of a folder, by name. */
export function filesIn(folder: string): Map<string, Buffer> {
  return new Map(readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name))]));
}

/** The sha256 of each file of a folder or a bundle in memory, by name; files themselves take tests long to compare. */
export function sums(files: string | ReadonlyMap<string, Uint8Array>): Record<string, string> {
  const entries = typeof files === "string" ? filesIn(files) : files;
  return Object.fromEntries(
    Array.from(entries, ([name, data]) => [name, createHash("sha256").update(data).digest("hex")] as const),
  );
}
