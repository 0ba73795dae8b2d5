/** Files through react-native-fs, which hands bytes over as base64. */

import { fromBase64, toBase64 } from "@exodus/bytes/base64.js";
import type { ReadFile } from "@forewarn/client";
import * as RNFS from "react-native-fs";
import type { Files } from "./files.js";

/** For `load` and `folderStore` in apps with react-native-fs. */
export const files: Files = {
  async list(folder) {
    if (!(await RNFS.exists(folder))) return undefined;
    return (await RNFS.readDir(folder)).filter((entry) => entry.isFile()).map((entry) => entry.name);
  },
  async read(path) {
    return (await RNFS.exists(path)) ? fromBase64(await RNFS.readFile(path, "base64")) : undefined;
  },
  write: (path, data) => RNFS.writeFile(path, toBase64(data), "base64"),
  makeFolder: (path) => RNFS.mkdir(path),
  rename: (folder, to) => RNFS.moveFile(folder, to),
  async remove(folder) {
    if (await RNFS.exists(folder)) await RNFS.unlink(folder);
  },
};

/**
 * Reads a bundle that is part of an Android app, for `load`.
 *
 * @param folder - its path under the app's `assets`.
 */
export function readFromAssets(folder: string): ReadFile {
  return async (name) => {
    const path = `${folder}/${name}`;
    return (await RNFS.existsAssets(path)) ? fromBase64(await RNFS.readFileAssets(path, "base64")) : undefined;
  };
}
