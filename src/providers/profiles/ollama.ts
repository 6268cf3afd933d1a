import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { OPENAI_EMBEDDINGS } from "../openai-embeddings/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * Ollama's OpenAI-compatible API, `http://<host>:11434/v1`, as documented in November 2026. It needs no key. A model
 * that is not pulled is status 404; 503 says that its queue is full.
 */
export const ollamaProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // docs.ollama.com/api/openai-compatibility: since 0.13.3, stateless.
  hasResponsesApi: true,
  finishReasons: { load: { failure: "PROVIDER_ERROR" } },
  overloadedStatuses: [503],
  contextTooLongPattern: /exceeds? (the )?(available )?context/i,
  embeddings: { ...OPENAI_EMBEDDINGS, takesTokens: false, takesEndUser: false },
};
