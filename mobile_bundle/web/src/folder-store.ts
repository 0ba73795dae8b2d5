/** Keeping a bundle in a folder, as `forewarn bundle update` does: the previous one lies beside it as NAME.previous. */

import { mkdir, mkdtemp, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { MANIFEST } from "./bundle.js";
import { ForewarnError } from "./errors.js";
import type { BundleFiles, BundleStore } from "./update.js";

/**
 * A bundle that is kept in a folder.
 *
 * New files are written beside it and the folders renamed, so that it holds one version or the other, never a mix. If
 * the process is killed between two renames, the next use of the store puts the version back that was there.
 *
 * @param folder - the bundle, or where it shall be.
 */
export function folderStore(folder: string): BundleStore {
  const current = resolve(folder);
  const previous = `${current}.previous`;
  return {
    async read(which) {
      await mend(current, previous);
      return readFolder(which === "current" ? current : previous);
    },
    async replace(files) {
      await mend(current, previous);
      await beside(current, async (work) => {
        const staged = join(work, "bundle");
        await mkdir(staged);
        for (const [name, data] of files) await writeFlushed(join(staged, name), data);
        if (await exists(current)) {
          await rm(previous, { recursive: true, force: true });
          await rename(current, previous);
        }
        try {
          await rename(staged, current);
        } catch (error) {
          await mend(current, previous);
          throw error;
        }
      });
    },
    async swap() {
      await mend(current, previous);
      await beside(current, async (work) => {
        const aside = join(work, "bundle");
        await rename(current, aside);
        try {
          await rename(previous, current);
        } catch (error) {
          await rename(aside, current);
          throw error;
        }
        await rename(aside, previous);
      });
    },
  };
}

/** A process that was killed between two renames left no current bundle: the previous one takes its place again. */
async function mend(current: string, previous: string): Promise<void> {
  if (!(await exists(current)) && (await exists(previous))) await rename(previous, current);
}

/** Run something with a temporary folder on the same disk. */
async function beside(current: string, use: (work: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(current), { recursive: true });
  const work = await mkdtemp(join(dirname(current), `.${basename(current)}.`));
  try {
    await use(work);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function readFolder(folder: string): Promise<BundleFiles> {
  if (!(await exists(folder))) return new Map();
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  if (!names.includes(MANIFEST)) {
    throw new ForewarnError(`${folder}: exists and is not a bundle; choose another folder`);
  }
  const files = new Map<string, Uint8Array>();
  for (const name of names) files.set(name, await readFile(join(folder, name)));
  return files;
}

async function writeFlushed(path: string, data: Uint8Array): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
  );
}
