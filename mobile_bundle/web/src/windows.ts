/** How a text that is longer than the model reads at once is read: in windows, of which the riskiest decides. */

/** Beyond it windows lie apart: 4000 characters have as many windows only where each of them is a piece or two. */
const MAX_WINDOWS = 16;

/**
 * Where the windows of a text begin: at its first piece, so that the last one ends with it, and evenly between.
 *
 * Neighbours share a quarter, so that a trick on the border of one stands whole in another, unless the text has more
 * than `MAX_WINDOWS` of them.
 *
 * @param pieces - pieces of the text.
 * @param room - pieces that a window holds.
 */
export function windowStarts(pieces: number, room: number): number[] {
  if (pieces <= room) return [0];
  const step = Math.max(1, Math.floor((room * 3) / 4));
  const count = Math.min(MAX_WINDOWS, 1 + Math.ceil((pieces - room) / step));
  return Array.from({ length: count }, (_, i) => Math.floor((i * (pieces - room)) / (count - 1)));
}
