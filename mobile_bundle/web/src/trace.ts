/**
 * Where the characters of a normalised text come from in the raw one, as the `tokenizers` library in Python counts it.
 *
 * Each character that a step puts out stands for one that went in: the one that it replaces, or, where a step puts out
 * more characters than went in, the one before. Characters that are dropped or merged into another stand for nothing.
 */

/** A text, and for each of its UTF-16 units where the character that it stands for starts and ends in the raw text. */
export interface Traced {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** The raw text itself. */
export function traced(text: string): Traced {
  const starts: number[] = [];
  const ends: number[] = [];
  let start = 0;
  for (const character of text) {
    const end = start + character.length;
    for (let i = start; i < end; i++) {
      starts.push(start);
      ends.push(end);
    }
    start = end;
  }
  return { text, starts, ends };
}

/** Collects what a step puts out. */
class Output {
  text = "";
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  constructor(private readonly input: Traced) {}

  /** Put out characters that all stand for the one at `place` of the input. */
  put(characters: string, place: number): void {
    this.text += characters;
    for (let i = 0; i < characters.length; i++) {
      this.starts.push(this.input.starts[place]!);
      this.ends.push(this.input.ends[place]!);
    }
  }

  /** Put out a part of the input as it is. */
  copy(start: number, end: number): void {
    for (let i = start; i < end; i++) this.put(this.input.text[i]!, i);
  }
}

/** Replaces every match of a global pattern; what comes in its place stands for the match's last unit. */
export function traceReplace(input: Traced, pattern: RegExp, replacement: (match: string) => string): Traced {
  const output = new Output(input);
  let done = 0;
  for (const match of input.text.matchAll(pattern)) {
    const end = match.index + match[0].length;
    output.copy(done, match.index);
    output.put(replacement(match[0]), end - 1);
    done = end;
  }
  output.copy(done, input.text.length);
  return output;
}

/** Puts a mark before the text, which stands for the text's first character. */
export function tracePrefix(input: Traced, mark: string): Traced {
  const output = new Output(input);
  output.put(mark, 0);
  output.copy(0, input.text.length);
  return output;
}

/** NFKC of the parts between what `untouched` matches (which it captures), as `String.split` parts them. */
export function traceNfkc(input: Traced, untouched: RegExp): Traced {
  const output = new Output(input);
  let start = 0;
  for (const [i, part] of input.text.split(untouched).entries()) {
    // No character of ASCII merges into what stands before it, so a text falls into independent parts there.
    for (const segment of part.split(/(?=[\0-\x7f])/)) {
      const end = start + segment.length;
      if (i % 2 === 1 || segment.normalize("NFKC") === segment) output.copy(start, end);
      else composeInto(output, segment, start);
      start = end;
    }
  }
  return output;
}

/** A character, and by how many it changes the length: 1 where it is added, -n where n others merge into it. */
interface Change {
  character: string;
  by: number;
}

function composeInto(output: Output, segment: string, start: number): void {
  const source = Array.from(segment);
  const places: number[] = [];
  for (const character of source) {
    places.push(start);
    start += character.length;
  }
  let next = 0;
  for (const { character, by } of compose(decompose(source))) {
    const place = Math.min(by > 0 ? Math.max(0, next - 1) : next, places.length - 1);
    output.put(character, places[place]!);
    if (by <= 0) next += 1 - by;
  }
}

/** Compatibility decomposition with marks in canonical order. */
function decompose(source: readonly string[]): Change[] {
  const changes: Change[] = [];
  for (const original of source) {
    for (const [i, character] of Array.from(original.normalize("NFKD")).entries()) {
      let at = changes.length;
      while (at > 0 && swaps(changes[at - 1]!.character, character)) at--;
      changes.splice(at, 0, { character, by: i === 0 ? 0 : 1 });
    }
  }
  return changes;
}

/** Canonical composition: each mark merges into the character before it, if there is one for both. */
function compose(changes: readonly Change[]): Change[] {
  const done: Change[] = [];
  let base: Change | undefined;
  let marks: Change[] = []; // those that did not merge, and stand after the base
  for (const change of changes) {
    const { character, by } = change;
    const starter = isStarter(character);
    if (base === undefined) {
      if (starter) base = { ...change };
      else done.push(change);
      continue;
    }
    // A mark of the same class, or any mark before a starter, stands between the two.
    const last = marks.at(-1);
    const blocked = last !== undefined && (starter || !swaps(character, last.character));
    const both: string = blocked ? "" : (base.character + character).normalize("NFC");
    if (Array.from(both).length === 1) {
      base = { character: both, by: base.by + by - 1 };
    } else if (starter) {
      done.push(base, ...marks);
      base = { ...change };
      marks = [];
    } else {
      marks.push(change);
    }
  }
  return base === undefined ? done : [...done, base, ...marks];
}

/** Whether canonical order puts `b` before `a`: both are marks, and the combining class of `a` is the higher one. */
function swaps(a: string, b: string): boolean {
  return (a + b).normalize("NFD") === b + a && a !== b;
}

/** Whether the combining class is 0. JavaScript does not tell it, but marks of class 1 and 240 show it. */
function isStarter(character: string): boolean {
  return !swaps(character, "\u0334") && !swaps("\u0345", character) && character !== "\u0334" && character !== "\u0345";
}
