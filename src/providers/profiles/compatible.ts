import { openaiProfile } from "./openai.ts";

/**
 * What most providers do that copy OpenAI's dialect: the older name of the output limit, no padding of deltas. Each
 * profile states its differences from this.
 */
export const compatibleProfile = {
  ...openaiProfile,
  maxTokensField: "max_tokens",
  takesObfuscationOption: false,
} as const;
