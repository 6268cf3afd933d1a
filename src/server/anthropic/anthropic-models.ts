import { candidateName } from "../../core/model-name.ts";
import type { ModelFormat } from "../compatible/models.ts";

/** How Anthropic writes that a date is not known. */
const UNKNOWN_DATE = "1970-01-01T00:00:00Z";

/** Models as Anthropic lists them, on one page. What nobody tells the gateway of a model is null. */
export const anthropicModels: ModelFormat = {
  toModel: ({ chain }, id) => ({
    type: "model",
    id,
    display_name: id,
    created_at: UNKNOWN_DATE,
    lifecycle: "active",
    ...{ deprecated_at: null, retires_at: null, line: null, capabilities: null },
    ...{ max_input_tokens: null, max_tokens: null },
    llm_gateway: { chain: chain.map(candidateName) },
  }),
  toList: (models) => ({
    data: models.map(([, model]) => model),
    has_more: false,
    first_id: models.at(0)?.[0] ?? null,
    last_id: models.at(-1)?.[0] ?? null,
  }),
};
