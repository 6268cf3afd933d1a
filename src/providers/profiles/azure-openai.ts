import type { OpenAiChatProfile } from "../openai-chat/profile.ts";
import { OPENAI_EMBEDDINGS } from "../openai-embeddings/profile.ts";
import { compatibleProfile } from "./compatible.ts";

/**
 * Azure OpenAI's v1 API, `https://<resource>.openai.azure.com/openai/v1`, as documented in November 2026. The model is
 * the name of a deployment. A first chunk without choices carries what the content filter says of the prompt.
 */
export const azureOpenaiProfile: OpenAiChatProfile = {
  ...compatibleProfile,
  // learn.microsoft.com/azure/foundry/openai/how-to/responses: a part of the v1 API, in most regions.
  hasResponsesApi: true,
  maxTokensField: "max_completion_tokens",
  keyHeader: "api-key",
  takesDeveloperRole: true,
  errorCodes: {
    ResponsibleAIPolicyViolation: "CONTENT_FILTERED",
    DeploymentNotFound: "PROVIDER_MODEL_NOT_FOUND",
    NoCapacity: "PROVIDER_OVERLOADED",
  },
  requestIdHeaders: ["apim-request-id", "x-request-id"],
  embeddings: OPENAI_EMBEDDINGS,
};
