/** What is used of react-native-fs, on Node. Assets lie in the shipped bundle's folder's parent. */

import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type * as RNFS from "react-native-fs";

const ASSETS = fileURLToPath(new URL("../../..", import.meta.url));

export const exists: typeof RNFS.exists = async (path) => existsSync(path);
export const readDir = async (folder: string) =>
  (await fs.readdir(folder, { withFileTypes: true })).map((entry) => ({
    name: basename(entry.name),
    isFile: () => entry.isFile(),
  }));
export const readFile: typeof RNFS.readFile = (path, encoding) => fs.readFile(path, encoding).then(String);
export const writeFile: typeof RNFS.writeFile = (path, data, encoding) => fs.writeFile(path, data, encoding);
export const mkdir: typeof RNFS.mkdir = async (path) => void (await fs.mkdir(path, { recursive: true }));
export const moveFile: typeof RNFS.moveFile = (from, to) => fs.rename(from, to);
export const unlink: typeof RNFS.unlink = (path) => fs.rm(path, { recursive: true });
export const existsAssets: typeof RNFS.existsAssets = (path) => exists(join(ASSETS, path));
export const readFileAssets: typeof RNFS.readFileAssets = (path, encoding) => readFile(join(ASSETS, path), encoding);
