import { openaiProfile } from "./openai.ts";

/**
 * What most providers do that copy OpenAI's dialect: the older names of the output limit and of the role, no padding of
 * deltas, no embeddings, no Responses API. Each profile states its differences from this.
 */
export const compatibleProfile = {
  ...openaiProfile,
  maxTokensField: "max_tokens",
  takesObfuscationOption: false,
  takesDeveloperRole: false,
  embeddings: undefined,
  hasResponsesApi: false,
} as const;
