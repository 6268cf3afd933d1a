import { countEmbedded, type EmbeddingInput } from "../core/embedding.ts";
import { badResponse, type SeenSoFar } from "./map-error.ts";

/** Coordinates that a provider wrote as JSON numbers; undefined when one of them is none. */
export function readCoordinates(value: unknown): Float32Array | undefined {
  if (!Array.isArray(value)) return undefined;
  const vector = new Float32Array(value.length);
  for (let index = 0; index < value.length; index += 1) {
    const coordinate: unknown = value[index];
    if (typeof coordinate !== "number") return undefined;
    vector[index] = coordinate;
  }
  return vector;
}

/** By a loop: `every` calls a function for each coordinate. */
function isAllFinite(vector: Float32Array): boolean {
  for (let index = 0; index < vector.length; index += 1) if (!Number.isFinite(vector[index])) return false;
  return true;
}

/**
 * The vectors, if they are what was asked for.
 * @throws ProviderError PROVIDER_BAD_RESPONSE for another number of them, for one that is missing, empty, of another
 * length or not finite
 */
export function checkVectors(
  vectors: readonly (Float32Array | undefined)[],
  { embedded, dimensions }: EmbeddingInput,
  seen: SeenSoFar,
): readonly Float32Array[] {
  const asked = countEmbedded(embedded);
  if (vectors.length !== asked) throw badResponse(`${vectors.length} vectors instead of ${asked}`, seen);
  const length = dimensions ?? vectors[0]?.length ?? 0;
  return vectors.map((vector) => {
    if (vector === undefined || vector.length === 0) throw badResponse("a vector that is none", seen);
    if (vector.length !== length) {
      throw badResponse(`a vector of ${vector.length} dimensions instead of ${length}`, seen);
    }
    if (!isAllFinite(vector)) throw badResponse("a vector that is not finite", seen);
    return vector;
  });
}
