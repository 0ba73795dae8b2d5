/**
 * The built script in Chromium: everything is loaded from a loopback server, then the network is cut and the server
 * stopped, and only then are the golden vectors scored, in the page and in a worker.
 */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, extname, join } from "node:path";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type * as web from "../src/web.js";
import { BUNDLE, bundleText, figures, goldenTexts, NANO, readFixture, WEB } from "./helpers.js";
import { makeRelease, sums, type Release } from "./release.js";

declare global {
  interface Window {
    forewarn: typeof web;
    ask(message: object): Promise<unknown>;
  }
}

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const SCRIPTS = ["forewarn-web.js", "ort-wasm-simd-threaded.wasm"];
// As strict as a site can be while it runs WebAssembly; without the headers for threads.
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'";

let release: Release;
let browser: Browser;
let server: Server;
let origin: string;
let context: BrowserContext;
let page: Page;
let requests: string[];
let written: string[];

beforeAll(async () => {
  release = makeRelease();
  browser = await chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
});
afterAll(async () => {
  release?.remove();
  await browser?.close();
});

beforeEach(async () => {
  server = createServer(async (request, response) => {
    const path = new URL(request.url!, "http://localhost").pathname;
    const body = await content(path).catch(() => undefined);
    response.writeHead(body === undefined ? 404 : 200, {
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
      "content-security-policy": POLICY,
    });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  context = await browser.newContext();
  page = await context.newPage();
  requests = [];
  written = [];
  context.on("request", (request) => requests.push(request.url()));
  context.on("console", (message) => written.push(message.text()));
  await page.goto(`${origin}/index.html`);
  await page.waitForFunction(() => "ask" in window);
});
afterEach(async () => {
  await context.close();
  await stopServer();
});

/** The site: the page, the script and its WebAssembly, the bundles, a copy with one bit flipped, and signed releases. */
async function content(path: string): Promise<Buffer> {
  if (/^\/(?:first|second|release)\//.test(path)) return readFile(join(release.folder, path));
  const [folder, name] = path.slice(1).split("/") as [string, string | undefined];
  if (name === undefined) return readFile(join(WEB, SCRIPTS.includes(folder) ? "dist" : "tests/page", folder));
  if (!["standard", "nano", "damaged"].includes(folder)) throw new Error("not here");
  const data = await readFile(join(folder === "nano" ? NANO : BUNDLE, name));
  if (folder === "damaged" && name === "model.onnx") data[data.length >> 1]! ^= 1;
  return data;
}

function findChromium(): string {
  const places = (process.env.PATH ?? "").split(delimiter);
  const found = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) =>
    places.map((place) => join(place, name)),
  );
  const path = process.env.CHROMIUM ?? found.find(existsSync);
  if (path === undefined)
    throw new Error("no Chromium; install it (Debian: apt-get install chromium), or set CHROMIUM to its path");
  return path;
}

async function stopServer(): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function cutNetwork(): Promise<void> {
  await context.setOffline(true);
  await stopServer();
  expect(
    await page.evaluate(() =>
      fetch("index.html").then(
        () => "came",
        () => "failed",
      ),
    ),
  ).toBe("failed");
  requests.length = 0;
}

test.each([
  ["standard", BUNDLE],
  ["nano", NANO],
])("in a page: all golden vectors of %s with the network cut", async (name, bundle) => {
  const loadMs = await page.evaluate(async (name) => {
    const start = performance.now();
    Object.assign(window, { classifier: await window.forewarn.load(name) });
    return performance.now() - start;
  }, name);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  await cutNetwork();

  const report = await page.evaluate(
    (vectors) => window.forewarn.checkVectors((window as any).classifier, vectors),
    bundleText("vectors.jsonl", bundle),
  );
  expect(report.failures).toEqual([]);
  expect(report.count).toBe(goldenTexts(bundle).length);
  expect(requests).toEqual([]);

  const times = await page.evaluate(async (texts) => {
    const times: number[] = [];
    for (const text of texts) {
      const start = performance.now();
      await (window as any).classifier.score(text);
      times.push(performance.now() - start);
    }
    return times;
  }, goldenTexts(bundle));
  console.log(figures(`Chromium ${browser.version()}, ${name}`, report, loadMs, times));
});

test("in a worker: all golden vectors with the network cut", async () => {
  expect(await page.evaluate(() => window.ask({ bundle: new URL("standard", location.href).href }))).toBe("ready");
  await cutNetwork();
  const report = (await page.evaluate(
    (vectors) => window.ask({ vectors }),
    bundleText("vectors.jsonl"),
  )) as web.VectorReport;
  expect(report).toMatchObject({ failures: [], count: goldenTexts().length });
  expect(requests).toEqual([]);
});

test("nothing of a message is written or sent anywhere", async () => {
  const errors = await page.evaluate(async () => {
    const classifier = await window.forewarn.load("standard");
    const MARK = "zqmarkedtextqz pay 1.99 at parcel-fee.example";
    await classifier.score(MARK);
    await classifier.scoreBatch([MARK, ""]);
    await classifier.score(MARK, { explain: true, locale: "en-SG", sender: "+4915zqmarked@sender.example" });
    const wrong: unknown[] = [
      classifier.score("hello", { sender: [MARK] as any }),
      classifier.scoreBatch(["hello"], { senders: [MARK, MARK] }),
      classifier.score([MARK] as any),
      classifier.scoreBatch(MARK as any),
      classifier.scoreBatch([{ MARK }] as any),
    ];
    return Promise.all(
      wrong.map((call: any) =>
        call.then(
          () => "no error",
          (error: Error) => `${error.message} ${error.stack}`,
        ),
      ),
    );
  });
  expect(errors.join()).not.toContain("zqmarked");
  expect(errors).not.toContain("no error");
  expect(written).toEqual([]);
  expect(requests.join()).not.toContain("zqmarked");
  const kept = await page.evaluate(async () => [
    localStorage.length,
    sessionStorage.length,
    document.cookie.length,
    (await indexedDB.databases()).length,
    (await caches.keys()).length,
  ]);
  expect(kept).toEqual([0, 0, 0, 0, 0]);
});

test("a signature is checked: the right key opens, another one does not", async () => {
  const { publicKey, otherKey } = release;
  expect(await refusal("first", { publicKey })).toBe("loaded");
  expect(await refusal("first", { publicKey: otherKey })).toMatch(/^BundleError: .* is not signed with this key/);
  expect(await refusal("standard", { publicKey })).toMatch(/^BundleError: .* is not signed \(no manifest\.sig\)/);
  expect(await refusal("first", { publicKey: publicKey.slice(1) })).toMatch(/^ForewarnError: the public key/);
});

test("updates come to the browser's storage: by difference, signed, damaged ones not, back and forth", async () => {
  const { first, second, publicKey, otherKey } = release;
  const done = await page.evaluate(
    async ([version, publicKey]) => {
      const { files, ...done } = await window.forewarn.update("release", window.forewarn.browserStore(), {
        version,
        publicKey,
      });
      return done;
    },
    [first, publicKey] as const,
  );
  expect(done).toMatchObject({ before: "", after: first });
  expect(await stored("current")).toEqual(sums(join(release.folder, "first")));
  expect(await stored("previous")).toEqual({});

  const refused = await page.evaluate(
    (publicKey) =>
      window.forewarn.update("release", window.forewarn.browserStore(), { publicKey }).then(
        () => "updated",
        (error) => `${error.name}: ${error.message}`,
      ),
    otherKey,
  );
  expect(refused).toMatch(/^BundleError: .* is not signed with this key/);
  expect(await stored("current")).toEqual(sums(join(release.folder, "first")));

  requests.length = 0;
  const next = await page.evaluate(async (publicKey) => {
    const { files, ...done } = await window.forewarn.update("release", window.forewarn.browserStore(), { publicKey });
    return done;
  }, publicKey);
  expect(next).toMatchObject({ before: first, after: second });
  expect(next.fetched).toBeLessThan(100_000);
  expect(requests.some((url) => url.includes("/deltas/"))).toBe(true);
  expect(await stored("current")).toEqual(sums(join(release.folder, "second")));
  expect(await stored("previous")).toEqual(sums(join(release.folder, "first")));

  // What is stored runs with the network cut, and the version before it after a rollback. The WebAssembly is fetched by
  // the first `load`, so that comes before.
  await page.evaluate(() => window.forewarn.load("standard"));
  await cutNetwork();
  const models = await page.evaluate(async (publicKey) => {
    const store = window.forewarn.browserStore();
    const current = await window.forewarn.load(await store.read("current"), { publicKey });
    const back = await window.forewarn.rollback(store, publicKey);
    const previous = await window.forewarn.load(await store.read("current"), { publicKey });
    return [current.version, back, previous.version];
  }, publicKey);
  expect(models).toEqual([second, first, first]);
  expect(await stored("previous")).toEqual(sums(join(release.folder, "second")));
  expect(written.filter((line) => !line.includes("ERR_INTERNET_DISCONNECTED"))).toEqual([]);
});

/** The sha256 of each file of a bundle in the browser's storage. */
function stored(which: "current" | "previous"): Promise<Record<string, string>> {
  return page.evaluate(async (which) => {
    const files = await window.forewarn.browserStore().read(which);
    const sums: Record<string, string> = {};
    for (const [name, data] of files) {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>));
      sums[name] = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    }
    return sums;
  }, which);
}

test("explanations and senders come to pages too", async () => {
  const wanted = readFixture().explanations.filter(({ text, evidence }) => evidence.length > 0 && text.length < 200);
  const got = await page.evaluate(async (cases) => {
    const classifier = await window.forewarn.load("standard");
    const results = [];
    const start = performance.now();
    for (const { text, locale } of cases) results.push(await classifier.score(text, { explain: true, locale }));
    const ms = (performance.now() - start) / cases.length;
    const sender = await classifier.score(cases[0]!.text, { sender: "+14155550100", locale: "en-SG" });
    return { results, ms, moved: sender.risk - results[0]!.risk };
  }, wanted);
  const differ = wanted.filter(({ evidence, forewarning }, i) => {
    const result = got.results[i]!;
    expect(result.forewarning ?? null).toBe(forewarning);
    return JSON.stringify(result.evidence!.map((x) => x.text)) !== JSON.stringify(evidence.map((x) => x.text));
  });
  console.log(
    `Chromium: ${wanted.length} explanations, ${differ.length} with other spans, on average ${got.ms.toFixed(0)} ms`,
  );
  expect(differ.length).toBeLessThan(0.1 * wanted.length);
  expect(got.moved).toBeGreaterThan(0);
});

/** What `load` says when it refuses. */
function refusal(source: string, options?: web.LoadOptions): Promise<string> {
  return page.evaluate(
    ([source, options]) =>
      window.forewarn.load(source, options).then(
        () => "loaded",
        (error) => `${error.name}: ${error.message}`,
      ),
    [source, options] as const,
  );
}

test("a damaged bundle, no bundle, and no WebAssembly are refused with what to do", async () => {
  expect(await refusal("damaged")).toMatch(/^BundleError: bundle damaged: model\.onnx is damaged/);
  expect(await refusal("nowhere")).toMatch(/^BundleError: .* has no manifest\.json/);
  expect(await refusal("http://127.0.0.1:9/standard")).toMatch(/^ForewarnError: .* cannot be fetched; check/);
  expect(await refusal("standard", { wasm: "/nowhere.wasm" })).toMatch(
    /^ForewarnError: the WebAssembly file cannot be loaded .*load\(source, \{ wasm \}\)$/,
  );
});
