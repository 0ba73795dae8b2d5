import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const standIn = (name: string) => fileURLToPath(new URL(`tests/native/${name}.ts`, import.meta.url));

export default defineConfig({
  // No phone here: what is native there runs on Node.
  resolve: {
    alias: {
      "onnxruntime-react-native": standIn("onnxruntime-react-native"),
      "expo-file-system": standIn("expo-file-system"),
      "react-native-fs": standIn("react-native-fs"),
    },
  },
  test: { include: ["tests/**/*.test.ts"], fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 },
});
