import type { Dialect } from "../dialect.ts";
import { toPathPart } from "../request-parts.ts";
import { sseFraming } from "../sse-framing.ts";
import { fromGenerateContent } from "./from-response.ts";
import { createContentReader } from "./from-stream.ts";
import { createErrorRules } from "./map-error.ts";
import { toGenerateContent } from "./to-request.ts";

/** Google's Gemini API, `https://generativelanguage.googleapis.com/v1beta`, as documented in November 2026. */
export function createGeminiDialect(secrets: readonly string[]): Dialect {
  const errors = createErrorRules(secrets);
  return {
    toPath: ({ model, stream }) =>
      `/models/${toPathPart(model)}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
    toBody: toGenerateContent,
    fromResponse: (response) => fromGenerateContent(response, errors),
    framing: sseFraming,
    terminalData: undefined,
    // There is no terminal event. The chunk with the finish reason is the last one, and states the usage; half of it is
    // no JSON.
    endWithoutTerminal: "needs_finish_reason_only",
    createReader: createContentReader,
    errors,
    requestIdHeaders: [],
  };
}
