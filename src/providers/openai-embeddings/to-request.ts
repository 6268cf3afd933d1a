import type { Embedded } from "../../core/embedding.ts";
import type { EmbeddingDialectCall } from "../embedding-dialect.ts";
import { changeMembers } from "../json-members.ts";
import type { EmbeddingProfile } from "./profile.ts";

/** The body of `POST /embeddings`. Members that are undefined are left out when it is made JSON. */
export interface EmbeddingsBody {
  readonly model: string;
  readonly input: readonly string[] | readonly (readonly number[])[];
  /** A third of the bytes, and no float to parse. */
  readonly encoding_format?: "base64" | undefined;
  readonly dimensions?: number | undefined;
  /** Mistral's name for `dimensions`. */
  readonly output_dimension?: number | undefined;
  readonly user?: string | undefined;
}

export function toEmbeddingsRequest(
  { model, input }: EmbeddingDialectCall,
  profile: EmbeddingProfile,
): EmbeddingsBody {
  return {
    model,
    input: itemsOf(input.embedded),
    encoding_format: profile.takesEncodingFormat ? "base64" : undefined,
    ...(profile.dimensionsField && { [profile.dimensionsField]: input.dimensions }),
    user: profile.takesEndUser ? input.endUser : undefined,
  };
}

const itemsOf = (embedded: Embedded): EmbeddingsBody["input"] =>
  embedded.kind === "texts" ? embedded.texts : embedded.sequences;

/**
 * The caller's own text, with the provider's name of the model and of the length of the vectors, without what the
 * provider is known to refuse.
 */
export function toNativeEmbeddings(
  native: NonNullable<EmbeddingDialectCall["native"]>,
  { model, input }: EmbeddingDialectCall,
  profile: EmbeddingProfile,
): string {
  const changes = new Map<string, string | undefined>([["model", JSON.stringify(model)]]);
  for (const member of native.gatewayMembers) changes.set(member, undefined);
  if (!profile.takesEncodingFormat) changes.set("encoding_format", undefined);
  if (!profile.takesEndUser) changes.set("user", undefined);
  const { dimensionsField } = profile;
  if (dimensionsField !== "dimensions" && input.dimensions !== undefined) {
    changes.set("dimensions", undefined);
    if (dimensionsField) changes.set(dimensionsField, String(input.dimensions));
  }
  return changeMembers(native.text, changes);
}
