/** What is used of expo-file-system, on Node; paths are `file:` URIs. */

import * as fs from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

class Entry {
  protected readonly path: string;
  constructor(uri: string) {
    this.path = fileURLToPath(uri);
  }
  get name(): string {
    return basename(this.path);
  }
  get exists(): boolean {
    return fs.existsSync(this.path);
  }
}

export class File extends Entry {
  bytes(): Promise<Uint8Array> {
    return readFile(this.path);
  }
  write(data: Uint8Array): Promise<void> {
    return writeFile(this.path, data);
  }
}

export class Directory extends Entry {
  list(): Entry[] {
    return fs.readdirSync(this.path, { withFileTypes: true }).map((entry) => {
      const uri = pathToFileURL(join(this.path, entry.name)).href;
      return entry.isFile() ? new File(uri) : new Directory(uri);
    });
  }
  create(): void {
    fs.mkdirSync(this.path, { recursive: true });
  }
  rename(name: string): void {
    fs.renameSync(this.path, join(dirname(this.path), name));
  }
  delete(): void {
    fs.rmSync(this.path, { recursive: true });
  }
}
