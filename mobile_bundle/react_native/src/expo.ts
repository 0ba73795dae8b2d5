/** Files through expo-file-system; paths are its `file:` URIs. */

import { Directory, File } from "expo-file-system";
import type { Files } from "./files.js";

/** For `load` and `folderStore` in apps with expo-file-system. */
export const files: Files = {
  async list(folder) {
    const directory = new Directory(folder);
    if (!directory.exists) return undefined;
    return directory.list().flatMap((entry) => (entry instanceof File ? [entry.name] : []));
  },
  async read(path) {
    const file = new File(path);
    return file.exists ? file.bytes() : undefined;
  },
  async write(path, data) {
    await new File(path).write(data);
  },
  async makeFolder(path) {
    new Directory(path).create({ intermediates: true, idempotent: true });
  },
  async rename(folder, to) {
    new Directory(folder).rename(to.slice(to.lastIndexOf("/") + 1));
  },
  async remove(folder) {
    const directory = new Directory(folder);
    if (directory.exists) directory.delete();
  },
};
