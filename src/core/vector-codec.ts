import { endianness } from "node:os";

const BYTES_PER_FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** A vector as OpenAI's `encoding_format: "base64"` has it: base64 of little-endian 32-bit floats. */
export function encodeVector(vector: Float32Array): string {
  const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
  return (isBigEndian() ? Buffer.from(bytes).swap32() : bytes).toString("base64");
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
