/** A runtime that gives the logits that the model gave elsewhere for the same ids: Hermes on a desktop has none. */

/** What the model made of ids. */
export interface Reading {
  readonly ids: readonly number[];
  readonly logits: readonly number[];
}

const known = new Map<string, readonly number[]>();

/** Take what the model made of everything that is going to be read. */
export function replay(readings: readonly Reading[]): void {
  for (const { ids, logits } of readings) known.set(ids.join(), logits);
}

export class Tensor {
  constructor(
    readonly type: string,
    readonly data: BigInt64Array | Float32Array,
    readonly dims: readonly number[],
  ) {}
}

export const InferenceSession = {
  create: async (model: Uint8Array) => {
    if (model.length !== model.buffer.byteLength) throw new Error("a part of a buffer");
    return {
      inputNames: ["input_ids", "attention_mask"],
      outputNames: ["logits"],
      run: async ({ input_ids }: { input_ids: Tensor }) => {
        const { data, type } = input_ids;
        if (!(data instanceof BigInt64Array) || type !== "int64") throw new Error("not int64");
        const width = [...known.values()][0]!.length;
        // A text that is explained is not among them.
        const logits = known.get(Array.from(data, Number).join()) ?? Array<number>(width).fill(0);
        return { logits: new Tensor("float32", Float32Array.from(logits), [1, width]) };
      },
    };
  },
};
