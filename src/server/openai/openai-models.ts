import { candidateName } from "../../core/model-name.ts";
import type { ModelFormat } from "../compatible/models.ts";

/** Models as OpenAI lists them. When a model was made nobody tells the gateway. */
export const openAiModels: ModelFormat = {
  toModel: ({ chain }, id) => ({
    id,
    object: "model",
    created: 0,
    owned_by: chain[0]?.provider ?? "",
    llm_gateway: { chain: chain.map(candidateName) },
  }),
  toList: (models) => ({ object: "list", data: models.map(([, model]) => model) }),
};
