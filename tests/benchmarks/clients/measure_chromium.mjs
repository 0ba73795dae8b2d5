// One cold headless Chromium with the web client: a job as JSON on standard input, its figures as JSON on standard
// output. `run.py` starts it, and says in workers.py what a job and its figures are. The network is cut after loading.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const WEB = fileURLToPath(new URL("../../../mobile_bundle/web/", import.meta.url));
const require = createRequire(join(WEB, "package.json"));
const { chromium } = require("playwright-core");
const RUNTIME = dirname(require.resolve("onnxruntime-web/wasm"));
const PAGES = {
  "/index.html": `<script type="module">
      import { load } from "./dist/forewarn-web.js";
      window.classifier = await load("bundle");
      window.loadMs = performance.now(); // since the page was asked for
    </script>`,
  "/runtime.html": `<script type="module">window.ort = await import("./runtime/ort.wasm.bundle.min.mjs")</script>`,
};
const FOLDERS = { dist: join(WEB, "dist"), runtime: RUNTIME, bundle: job.bundle };
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

const server = createServer(async (request, response) => {
  const path = new URL(request.url, "http://localhost").pathname;
  const folder = FOLDERS[path.split("/")[1]];
  const body = PAGES[path] ?? (folder && (await readFile(join(folder, basename(path))).catch(() => undefined)));
  response.writeHead(body === undefined ? 404 : 200, {
    "content-type": TYPES[extname(path)] ?? "application/octet-stream",
    // With these two the page has a clock that is finer than 0.1 ms. Nothing else that is measured needs them.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
  });
  response.end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: job.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(keepMemories);
  console.log(JSON.stringify(job.bundle === null ? await runtimeOnly(page) : await measure(context, page)));
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}

/** In the page, before its scripts: every memory that WebAssembly gets, made by the script or by the module itself. */
function keepMemories() {
  const memories = (window.memories = new Set());
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, args) {
      const memory = Reflect.construct(target, args);
      memories.add(memory);
      return memory;
    },
  });
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...args) => {
      const result = await original.apply(WebAssembly, args);
      const { exports } = result.instance ?? result;
      for (const value of Object.values(exports)) if (value instanceof WebAssembly.Memory) memories.add(value);
      return result;
    };
  }
}

/** Bytes of all memory that WebAssembly holds in the page; it never shrinks. */
function wasmMemory(page) {
  return page.evaluate(() => [...window.memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0));
}

/** The most memory that the page's process has held, in bytes: of the renderers that of the largest, others are empty. */
async function peak() {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const peaks = pids.map((pid) => /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
  return 1024 * Math.max(...peaks);
}

/** The runtime loads its WebAssembly when the first session is asked for; no model makes none. */
async function runtimeOnly(page) {
  await page.goto(`${origin}/runtime.html`);
  await page.waitForFunction(() => "ort" in window);
  await page.evaluate(async () => {
    window.ort.env.wasm.numThreads = 1;
    const made = await window.ort.InferenceSession.create(new Uint8Array(1)).then(
      () => true,
      () => false,
    );
    if (made || window.memories.size === 0) throw new Error("the runtime alone was not loaded as expected");
  });
  return { peak: await peak(), wasm: await wasmMemory(page) };
}

async function measure(context, page) {
  await page.goto(`${origin}/index.html`);
  await page.waitForFunction(() => "loadMs" in window, undefined, { timeout: 120_000 });
  const load = await page.evaluate(() => window.loadMs);
  await context.setOffline(true);
  server.closeAllConnections();
  const message = await page.evaluate(async ({ warm, texts }) => {
    for (const text of warm) await window.classifier.score(text);
    const times = [];
    for (const text of texts) {
      const start = performance.now();
      await window.classifier.score(text);
      times.push(performance.now() - start);
    }
    return times;
  }, job);
  const peak_alone = await peak();
  const batch = await page.evaluate(async ({ batches }) => {
    const times = [];
    for (const texts of batches) {
      const start = performance.now();
      await window.classifier.scoreBatch(texts);
      times.push(performance.now() - start);
    }
    return times;
  }, job);
  return { load, message, batch, peak_alone, peak: await peak(), wasm: await wasmMemory(page) };
}
