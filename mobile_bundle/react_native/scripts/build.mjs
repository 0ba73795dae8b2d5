// Makes dist/: one script an entry with the web package's core inside it, and the types of both.
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transformAsync } from "@babel/core";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const require = createRequire(import.meta.url);
const core = dirname(fileURLToPath(import.meta.resolve("@forewarn/client")));

rmSync("dist", { recursive: true, force: true });

/**
 * Hermes has no \p{...} before 2025, and later one of another Unicode than ours: its meaning is written out here. What
 * comes of it is built at run time, so that the app's Babel leaves it alone: its way of undoing the u flag swallows the
 * character before a lone low surrogate.
 */
const opaque = ({ types: t }) => ({
  visitor: {
    Program(program) {
      program.traverse({
        RegExpLiteral(path) {
          const { pattern, flags } = path.node;
          if (!flags.includes("u")) return;
          const name = program.scope.generateUidIdentifier("pattern");
          const made = t.newExpression(t.identifier("RegExp"), [t.stringLiteral(pattern), t.stringLiteral(flags)]);
          program.unshiftContainer("body", t.variableDeclaration("const", [t.variableDeclarator(name, made)]));
          path.replaceWith(t.cloneNode(name));
        },
      });
    },
  },
});
const patterns = {
  name: "patterns",
  setup: (build) =>
    build.onLoad({ filter: /[\\/]web[\\/]dist[\\/].*\.js$/ }, async ({ path }) => {
      let code = await readFile(path, "utf8");
      for (const plugin of [["@babel/plugin-transform-unicode-property-regex", { useUnicodeFlag: true }], opaque]) {
        ({ code } = await transformAsync(code, { configFile: false, babelrc: false, plugins: [plugin] }));
      }
      return { contents: code, loader: "js" };
    }),
};
const globals = ["crypto", "fetch"];
await build({
  entryPoints: ["src/index.ts", "src/expo.ts", "src/fs.ts"],
  outdir: "dist",
  bundle: true,
  format: "esm",
  minifySyntax: true,
  minifyWhitespace: true,
  target: "es2022",
  charset: "ascii",
  external: ["onnxruntime-react-native", "expo-file-system", "react-native-fs", "@noble/*", "@exodus/*", "fflate"],
  inject: ["src/platform.ts"],
  define: {
    "globalThis.process": "undefined",
    ...Object.fromEntries(globals.map((name) => [`globalThis.${name}`, name])),
  },
  plugins: [patterns],
  logLevel: "warning",
});

execFileSync(process.execPath, [require.resolve("typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
for (const name of readdirSync("dist").filter((name) => name.endsWith(".d.ts"))) {
  const types = readFileSync(join("dist", name), "utf8");
  writeFileSync(join("dist", name), types.replaceAll('"@forewarn/client"', '"./core/index.js"'));
}
rmSync("dist/platform.d.ts");
const inCore = (path) => path === core || path.endsWith(".d.ts");
cpSync(core, "dist/core", { recursive: true, filter: inCore });
for (const name of ["web.d.ts", "node.d.ts", "browser-store.d.ts", "folder-store.d.ts"]) rmSync(`dist/core/${name}`);
