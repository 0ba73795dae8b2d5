/** The core: everything but the runtime. `@forewarn/client/web` and `@forewarn/client/node` add one and `load`. */

export {
  Bundle,
  FORMAT,
  readFromMap,
  type Leaf,
  type Manifest,
  type ReadFile,
  type VerdictName,
} from "./bundle.js";
export { ScamClassifier, type BatchOptions, type OnnxRuntime, type ScoreOptions } from "./classifier.js";
export { BundleError, ForewarnError } from "./errors.js";
export {
  rollback,
  update,
  type BundleFiles,
  type BundleStore,
  type Updated,
  type UpdateOptions,
} from "./update.js";
export { checkVectors, LOGIT_TOLERANCE, type VectorReport } from "./vectors.js";
export type { Action, Evidence, Verdict } from "./verdict.js";
