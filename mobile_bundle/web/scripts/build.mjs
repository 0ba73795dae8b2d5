// Makes dist/: the package's modules (tsc), and for pages without a bundler one script with
// the runtime's WebAssembly beside it.
import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const require = createRequire(import.meta.url);
const WASM = "ort-wasm-simd-threaded.wasm";

rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, [require.resolve("typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
const shared = {
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "inline",
  logLevel: "warning",
};
await build({ ...shared, entryPoints: ["src/web.ts"], outfile: "dist/forewarn-web.js" });
await build({ ...shared, entryPoints: ["src/index.ts"], outfile: "dist/forewarn-core.js" });
copyFileSync(join(dirname(require.resolve("onnxruntime-web/wasm")), WASM), join("dist", WASM));
