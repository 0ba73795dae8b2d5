/** What the model reads of a message, and where each part of that stands in the message. */

const HEAD_CHARACTERS = 3000;
export const TAIL_CHARACTERS = 1000;

/** Python's white space, as a part of a character class: JavaScript's, less the byte order mark, and five more. */
export const SPACES = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

/** What the tokenizer gets: no lone surrogates, no NUL, head and tail of a very long text. */
export function clean(text: string): string {
  const { head, tail } = ends(text);
  return sound(tail === undefined ? head : `${head}\n${tail}`).replaceAll("\0", "");
}

/** For each UTF-16 unit of `clean(text)`, where it stands in `text`. */
export function origins(text: string): number[] {
  const { head, tail } = ends(text);
  const places: number[] = [];
  const keep = (part: string, from: number): void => {
    for (let i = 0; i < part.length; i++) if (part[i] !== "\0") places.push(from + i);
  };
  keep(head, 0);
  if (tail !== undefined) {
    places.push(head.length);
    keep(tail, text.length - tail.length);
  }
  return places;
}

/** A text with U+FFFD in place of lone surrogates. */
export function sound(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** The first and the last characters of a text that is too long to be read; the whole text of any other. */
function ends(text: string): { head: string; tail?: string } {
  const limit = HEAD_CHARACTERS + TAIL_CHARACTERS;
  // A character is one or two UTF-16 units: only between these lengths must they be counted.
  if (text.length <= limit || (text.length <= 2 * limit && Array.from(text).length <= limit)) return { head: text };
  const head = Array.from(text.slice(0, 2 * HEAD_CHARACTERS)).slice(0, HEAD_CHARACTERS);
  const tail = Array.from(text.slice(-2 * TAIL_CHARACTERS)).slice(-TAIL_CHARACTERS);
  return { head: head.join(""), tail: tail.join("") };
}
