// One cold process of the Node client: a job as JSON on standard input, its figures as JSON on standard output.
// `run.py` starts it, and says in workers.py what a job and its figures are.
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";

const job = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(new URL("../../../mobile_bundle/web/package.json", import.meta.url));

/** The most memory that this process has held so far, in bytes. */
function peak() {
  return 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}

/** Size of the runtime's native libraries that this process has loaded. */
function runtimeBytes() {
  const paths = readFileSync("/proc/self/maps", "utf8").match(/\/\S*\/onnxruntime-node\/\S*$/gm);
  return [...new Set(paths)].reduce((sum, path) => sum + statSync(path).size, 0);
}

async function measure() {
  const start = performance.now();
  const { load } = await import("../../../mobile_bundle/web/dist/node.js");
  const classifier = await load(job.bundle);
  const figures = { load: performance.now() - start, message: [], batch: [] };
  for (const text of job.warm) await classifier.score(text);
  for (const text of job.texts) {
    const start = performance.now();
    await classifier.score(text);
    figures.message.push(performance.now() - start);
  }
  figures.peak_alone = peak();
  for (const texts of job.batches) {
    const start = performance.now();
    await classifier.scoreBatch(texts);
    figures.batch.push(performance.now() - start);
  }
  return { ...figures, peak: peak(), runtime_bytes: runtimeBytes() };
}

if (job.bundle === null) require("onnxruntime-node");
console.log(JSON.stringify(job.bundle === null ? { peak: peak() } : await measure()));
