/** A runtime that gives the golden logits for the golden ids: Hermes on a desktop has no ONNX Runtime. */

interface Golden {
  ids: number[];
  logits: number[];
}

const known = new Map<string, number[]>();

/** Take the ids and logits of a bundle's vectors.jsonl. */
export function replay(vectors: string): void {
  for (const line of vectors.trimEnd().split("\n")) {
    const { ids, logits }: Golden = JSON.parse(line);
    known.set(ids.join(), logits);
  }
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
        // The empty text, with which a model is tried out, is not among the vectors.
        const logits = known.get(Array.from(data, Number).join()) ?? Array<number>(width).fill(0);
        return { logits: new Tensor("float32", Float32Array.from(logits), [1, width]) };
      },
    };
  },
};
