// The web and Node clients' own code, minified and without the runtime: bytes, and gzipped, as JSON.
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const WEB = fileURLToPath(new URL("../../../mobile_bundle/web/", import.meta.url));
const { buildSync } = createRequire(join(WEB, "package.json"))("esbuild");

function minified(entry, platform) {
  const { outputFiles } = buildSync({
    entryPoints: [join(WEB, "src", entry)],
    external: ["onnxruntime-web", "onnxruntime-node"],
    bundle: true,
    format: "esm",
    platform,
    minify: true,
    target: "es2022",
    write: false,
  });
  return { bytes: outputFiles[0].contents.length, gzip: gzipSync(outputFiles[0].contents, { level: 9 }).length };
}

console.log(JSON.stringify({ chromium: minified("web.ts", "browser"), node: minified("node.ts", "node") }));
