import { endianness } from "node:os";

const BYTES_PER_FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** The coordinates as little-endian 32-bit floats: where the machine has them so, without a copy. */
export function vectorBytes(vector: Float32Array): Buffer {
  const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
  return isBigEndian() ? Buffer.from(bytes).swap32() : bytes;
}

/** A vector as OpenAI's `encoding_format: "base64"` has it: base64 of little-endian 32-bit floats. */
export function encodeVector(vector: Float32Array): string {
  return vectorBytes(vector).toString("base64");
}

/** The coordinates as a plain array. A loop: by its iterator a typed array is copied fifty times slower. */
export function vectorNumbers(vector: Float32Array): number[] {
  const numbers: number[] = [];
  for (let index = 0; index < vector.length; index += 1) numbers.push(vector[index] ?? 0);
  return numbers;
}

/** @throws RangeError for what is no whole number of floats */
export function decodeVector(base64: string): Float32Array {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length === 0 || bytes.length % BYTES_PER_FLOAT !== 0)
    throw new RangeError("not base64 of floats");
  const vector = new Float32Array(bytes.length / BYTES_PER_FLOAT);
  const copy = Buffer.from(vector.buffer);
  bytes.copy(copy);
  if (isBigEndian()) copy.swap32();
  return vector;
}

const isBigEndian = (): boolean => endianness() === "BE";
