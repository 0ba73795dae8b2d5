/** Wrong use, or something missing around the client. The message is one line: what is wrong, and what to do. */
export class ForewarnError extends Error {
  override name = "ForewarnError";
}

/** A damaged or foreign bundle. */
export class BundleError extends ForewarnError {
  override name = "BundleError";
}
