import { hexDigest } from "./digest.js";
import { BundleError } from "./errors.js";
import { isSigned, SIGNATURE } from "./signature.js";

/** The bundle format that this version reads. */
export const FORMAT = 1;

/** The file of a bundle that names all others. */
export const MANIFEST = "manifest.json";
const REQUIRED = ["model.onnx", "tokenizer.json", "forewarnings.json"];
const AGAIN = "copy or download the bundle again";

/** The verdicts of bundle format 1. */
export const VERDICTS = ["scam", "promotion", "legitimate"] as const;

/** What a message is: a fraud, honest marketing, or neither. */
export type VerdictName = (typeof VERDICTS)[number];

/** One class of the model: its name, the verdict that it counts towards, and the human levers it pulls. */
export interface Leaf {
  readonly name: string;
  readonly verdict: VerdictName;
  readonly levers: readonly string[];
}

/** What the client relies on of a bundle's manifest.json. */
export interface Manifest {
  readonly format: number;
  readonly version: string;
  readonly labels: { readonly verdicts: readonly VerdictName[]; readonly leaves: readonly Leaf[] };
  readonly max_length: number;
  readonly calibration: { readonly temperature: number; readonly scam_bias: number };
  readonly operating_points: {
    readonly warn: { readonly threshold: number };
    readonly block: { readonly threshold: number };
  };
  readonly files: Readonly<Record<string, { readonly sha256: string }>>;
}

/** Gives the bytes of one file of a bundle, or undefined where there is no such file. */
export type ReadFile = (name: string) => Promise<Uint8Array | undefined>;

/** A checked bundle: its manifest and the bytes of its files, so that what runs is exactly what was checked. */
export class Bundle {
  private constructor(
    /** Where it came from, for messages. */
    readonly where: string,
    readonly manifest: Manifest,
    private readonly files: ReadonlyMap<string, Uint8Array>,
  ) {}

  /**
   * Read and check a bundle: its format, its manifest, and the sha256 of every file that the manifest lists.
   *
   * @param where - the bundle's place, for messages.
   * @param readFile - gives the bytes of a file by its name.
   * @param publicKey - the Ed25519 key, in base64, that must have signed it; without one no signature is asked for.
   * @throws BundleError if it is damaged, not signed with the key, or not a bundle of a format that this version reads;
   *   ForewarnError if the key is none.
   */
  static async open(where: string, readFile: ReadFile, publicKey?: string): Promise<Bundle> {
    const head = await readFile(MANIFEST);
    if (head === undefined) throw new BundleError(`bundle ${where}: has no ${MANIFEST}; this is not a forewarn bundle`);
    if (publicKey !== undefined) await checkSignature(where, head, readFile, publicKey);
    const manifest = checkManifest(where, head);
    const read = async (name: string, sha256: string): Promise<[string, Uint8Array]> => {
      const data = await readFile(name);
      if (data === undefined) throw new BundleError(`bundle ${where}: ${name} is missing; ${AGAIN}`);
      if ((await hexDigest(data)) !== sha256) {
        throw new BundleError(`bundle ${where}: ${name} is damaged (its sha256 differs from the manifest's); ${AGAIN}`);
      }
      return [name, data];
    };
    const files = await Promise.all(Object.entries(manifest.files).map(([name, { sha256 }]) => read(name, sha256)));
    return new Bundle(where, manifest, new Map(files));
  }

  /**
   * The checked bytes of one file.
   *
   * @throws BundleError if the manifest lists no such file.
   */
  read(name: string): Uint8Array {
    const data = this.files.get(name);
    if (data === undefined) throw new BundleError(`bundle ${this.where}: its manifest lists no ${name}`);
    return data;
  }
}

/** Reads the files of a bundle that is in memory already (from a file picker, a cache, an archive). */
export function readFromMap(files: ReadonlyMap<string, Uint8Array>): ReadFile {
  return async (name) => files.get(name);
}

/** Refuse a manifest that the key has not signed, before anything in it is believed. */
async function checkSignature(
  where: string,
  manifest: Uint8Array,
  readFile: ReadFile,
  publicKey: string,
): Promise<void> {
  const signature = await readFile(SIGNATURE);
  if (signature === undefined) {
    throw new BundleError(`bundle ${where}: is not signed (no ${SIGNATURE}); do not use it`);
  }
  if (!(await isSigned(manifest, signature, publicKey))) {
    throw new BundleError(
      `bundle ${where}: is not signed with this key (${SIGNATURE} does not fit ${MANIFEST}); ` +
        "do not use it, get it again from where the key comes from",
    );
  }
}

/** Check every field that the client relies on. */
function checkManifest(where: string, bytes: Uint8Array): Manifest {
  let m: any;
  try {
    m = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new BundleError(`bundle ${where}: ${MANIFEST} is not JSON; ${AGAIN}`);
  }
  const require = (condition: boolean, what: string): void => {
    if (!condition)
      throw new BundleError(`bundle ${where}: ${MANIFEST} ${what}; use a bundle that \`forewarn export\` wrote`);
  };

  require(isObject(m), "is not an object");
  if (m.format !== FORMAT) {
    const newer = Number.isFinite(m.format) && m.format > FORMAT;
    throw new BundleError(
      `bundle ${where}: bundle format is ${Number.isFinite(m.format) ? m.format : "none that is known"}, ` +
        `this version reads format ${FORMAT}; ` +
        (newer ? "upgrade @forewarn/client" : "use one that `forewarn export` wrote"),
    );
  }
  require(typeof m.version === "string", "has no model version");
  require(Number.isInteger(m.max_length) && m.max_length >= 4, "has no usable max_length");
  require(Number.isFinite(m.calibration?.temperature) && m.calibration.temperature > 0, "has no usable temperature");
  require(Number.isFinite(m.calibration.scam_bias), "has no scam_bias");
  for (const name of ["warn", "block"]) {
    require(Number.isFinite(m.operating_points?.[name]?.threshold), `has no ${name} threshold`);
  }

  require(isObject(m.files), "lists no files");
  for (const [name, entry] of Object.entries<any>(m.files)) {
    require(isFileName(name), "lists a file outside the bundle");
    require(typeof entry?.sha256 === "string", `has no sha256 for ${name}`);
  }
  for (const name of REQUIRED) require(Object.hasOwn(m.files, name), `does not list ${name}`);

  require(Array.isArray(m.labels?.verdicts) && Array.isArray(m.labels.leaves), "has no label taxonomy");
  const known: readonly unknown[] = VERDICTS;
  require(m.labels.verdicts.every((verdict: unknown) => known.includes(verdict)), "names an unknown verdict");
  for (const leaf of m.labels.leaves) {
    require(typeof leaf?.name === "string" && isTextList(leaf.levers), "has a label without name or levers");
    require(m.labels.verdicts.includes(leaf.verdict), `has no known verdict for ${leaf.name}`);
  }
  for (const verdict of ["scam", "legitimate"]) {
    require(m.labels.leaves.some((leaf: Leaf) => leaf.verdict === verdict), `has no labels for ${verdict}`);
  }
  return m as Manifest;
}

/** Whether a name is that of a file in the bundle's folder itself. */
export function isFileName(name: string): boolean {
  return !["", ".", ".."].includes(name) && !/[/\\:\0]/.test(name);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
