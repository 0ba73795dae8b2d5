import { defineConfig } from "vitest/config";

export default defineConfig({
  // One file at a time: each holds a model, and timings stay readable.
  test: { include: ["tests/**/*.test.ts"], fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 },
});
