import { ForewarnError, type BundleFiles, type BundleStore, type ReadFile } from "@forewarn/client";

/** The few things that are done to files. `@forewarn/react-native/expo` and `@forewarn/react-native/fs` have them. */
export interface Files {
  /** Names of the files in a folder; undefined where there is no such folder. */
  list(folder: string): Promise<string[] | undefined>;
  /** The bytes of a file; undefined where there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Write a new file. */
  write(path: string, data: Uint8Array): Promise<void>;
  /** Make a folder and those above it; no failure where it is there already. */
  makeFolder(path: string): Promise<void>;
  /** Give a folder another name beside it; nothing has that name yet. */
  rename(folder: string, to: string): Promise<void>;
  /** Remove a folder with all that is in it; no failure where there is none. */
  remove(folder: string): Promise<void>;
}

/** Reads the files of a bundle's folder. */
export function readFromFolder(files: Files, folder: string): ReadFile {
  const base = trimmed(folder);
  return (name) => files.read(`${base}/${name}`);
}

/**
 * A bundle that is kept in a folder; the one before it lies beside it as NAME.previous.
 *
 * New files are written beside it and the folders renamed, so that it holds one version or the other, never a mix. If
 * the app is killed between two renames, the next use of the store puts the version back that was there.
 *
 * @param files - how to reach files.
 * @param folder - the bundle, or where it shall be; in the app's own documents, where nothing else is kept in it.
 */
export function folderStore(files: Files, folder: string): BundleStore {
  const current = trimmed(folder);
  const previous = `${current}.previous`;
  const work = `${current}.work`;
  /** An app that was killed between two renames left no current bundle: the previous one takes its place again. */
  const mend = async (): Promise<void> => {
    if ((await files.list(current)) === undefined && (await files.list(previous)) !== undefined) {
      await files.rename(previous, current);
    }
    await files.remove(work);
  };
  const guarded = async <T>(use: () => Promise<T>): Promise<T> => {
    try {
      await mend();
      return await use();
    } catch (error) {
      if (error instanceof ForewarnError) throw error;
      throw new ForewarnError("the bundle's folder cannot be used; check that it is the app's own, and the room");
    }
  };
  return {
    read: (which) => guarded(() => readAll(files, which === "current" ? current : previous)),
    replace: (content) =>
      guarded(async () => {
        await files.makeFolder(work);
        for (const [name, data] of content) await files.write(`${work}/${name}`, data);
        if ((await files.list(current)) !== undefined) {
          await files.remove(previous);
          await files.rename(current, previous);
        }
        try {
          await files.rename(work, current);
        } catch (error) {
          await mend();
          throw error;
        }
      }),
    swap: () =>
      guarded(async () => {
        await files.rename(current, work);
        try {
          await files.rename(previous, current);
        } catch (error) {
          await files.rename(work, current);
          throw error;
        }
        await files.rename(work, previous);
      }),
  };
}

async function readAll(files: Files, folder: string): Promise<BundleFiles> {
  const content = new Map<string, Uint8Array>();
  for (const name of (await files.list(folder)) ?? []) {
    const data = await files.read(`${folder}/${name}`);
    if (data !== undefined) content.set(name, data);
  }
  return content;
}

function trimmed(folder: string): string {
  return folder.replace(/\/+$/, "");
}
