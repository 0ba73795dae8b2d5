import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import type { BuildOptions, Plugin } from "esbuild";

const require = createRequire(import.meta.url);

/** The files that @exodus/bytes has React Native's bundler take instead, by its package.json. */
const swaps: Plugin = {
  name: "react-native-field",
  setup(build) {
    const root = dirname(dirname(require.resolve("@exodus/bytes/utf8.js"))) + "/bytes";
    const { "react-native": map } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
    const targets = new Map<string, string>();
    for (const [from, to] of Object.entries<string>(map)) targets.set(resolve(root, from), resolve(root, to));
    build.onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
      const target = targets.get(resolve(resolveDir, path));
      return target === undefined ? undefined : { path: target };
    });
  },
};

/** One script of a file and all that it imports, resolved as React Native's bundler (Metro) resolves. */
export const metro = {
  bundle: true,
  write: false,
  platform: "neutral",
  target: "es2022",
  conditions: ["react-native"],
  mainFields: ["react-native", "module", "main"],
  plugins: [swaps],
} satisfies BuildOptions;
