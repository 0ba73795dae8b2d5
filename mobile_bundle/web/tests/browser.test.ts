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
import { BUNDLE, bundleText, figures, goldenTexts, WEB } from "./helpers.js";

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

let browser: Browser;
let server: Server;
let origin: string;
let context: BrowserContext;
let page: Page;
let requests: string[];
let written: string[];

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
});
afterAll(() => browser?.close());

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

/** The site: the test page, the built script and its WebAssembly, the bundle, and a copy of it with one bit flipped. */
async function content(path: string): Promise<Buffer> {
  const [folder, name] = path.slice(1).split("/") as [string, string | undefined];
  if (name === undefined) return readFile(join(WEB, SCRIPTS.includes(folder) ? "dist" : "tests/page", folder));
  if (folder !== "standard" && folder !== "damaged") throw new Error("not here");
  const data = await readFile(join(BUNDLE, name));
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

test("in a page: all golden vectors with the network cut", async () => {
  const loadMs = await page.evaluate(async () => {
    const start = performance.now();
    Object.assign(window, { classifier: await window.forewarn.load("standard") });
    return performance.now() - start;
  });
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  await cutNetwork();

  const report = await page.evaluate(
    (vectors) => window.forewarn.checkVectors((window as any).classifier, vectors),
    bundleText("vectors.jsonl"),
  );
  expect(report.failures).toEqual([]);
  expect(report.count).toBe(goldenTexts().length);
  expect(requests).toEqual([]);

  const times = await page.evaluate(async (texts) => {
    const times: number[] = [];
    for (const text of texts) {
      const start = performance.now();
      await (window as any).classifier.score(text);
      times.push(performance.now() - start);
    }
    return times;
  }, goldenTexts());
  console.log(figures(`Chromium ${browser.version()}`, report, loadMs, times));
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
    const wrong: unknown[] = [
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
