import type { JsonObject } from "./json-types.ts";

const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });
const json = (description: string, name: string): JsonObject => ({
  description,
  content: { "application/json": { schema: reference(name) } },
});

const CALL_HEADERS: readonly JsonObject[] = [
  {
    name: "x-llm-gateway-timeout-ms",
    in: "header",
    description: "The deadline of the whole call. Unset: `x-stainless-timeout`, else the default.",
    schema: { type: "integer", minimum: 0 },
  },
  {
    name: "idempotency-key",
    in: "header",
    description: "Becomes the request's id; one of more than 36 characters a UUID that is made of it.",
    schema: { type: "string", minLength: 1 },
  },
];
const FAILED: JsonObject = json("An error in OpenAI's form.", "OpenAiError");

/** The OpenAI-compatible API: only what differs from OpenAI's own documentation is described. */
export const OPENAI_PATHS: JsonObject = {
  "/v1/chat/completions": {
    post: {
      operationId: "createChatCompletion",
      tags: ["OpenAI-compatible"],
      summary: "A chat completion as OpenAI's clients ask for it",
      description:
        "Every member of OpenAI's request is taken; those that the gateway does not know reach a provider of the same " +
        "dialect untouched, and are named in `x-llm-gateway-ignored` when a provider of another dialect answered. " +
        "Needs a key with the role invoke.",
      parameters: CALL_HEADERS,
      requestBody: {
        required: true,
        content: { "application/json": { schema: reference("ChatCompletionRequest") } },
      },
      responses: {
        "200": {
          description:
            "The provider's answer, or with `stream: true` its events. `x-llm-gateway-*` headers say who answered, after how " +
            "many attempts, for how much; of a stream the member `llm_gateway` of the chunk with the usage does, or a comment.",
          content: {
            "application/json": { schema: { type: "object" } },
            "text/event-stream": { schema: { type: "string" } },
          },
        },
        default: FAILED,
      },
    },
  },
  "/v1/embeddings": {
    post: {
      operationId: "createEmbeddings",
      tags: ["OpenAI-compatible"],
      summary: "Embeddings as OpenAI's clients ask for them",
      description:
        "As with chat completions, members that the gateway does not know reach a provider of the same dialect untouched. " +
        "Only an alias's chain and `fallback_models` are tried, never the default chain: vectors of different models " +
        "cannot be compared. Needs a key with the role invoke.",
      parameters: CALL_HEADERS,
      requestBody: {
        required: true,
        content: { "application/json": { schema: reference("EmbeddingsRequest") } },
      },
      responses: {
        "200": {
          description:
            "The provider's answer. `x-llm-gateway-*` headers say who answered, after how many attempts, for how much.",
          content: { "application/json": { schema: { type: "object" } } },
        },
        default: FAILED,
      },
    },
  },
  "/v1/responses": {
    post: {
      operationId: "createResponse",
      tags: ["OpenAI-compatible"],
      summary: "A response as OpenAI's clients ask for it",
      description:
        "Every member of OpenAI's request is taken and reaches the provider untouched. It is relayed and never translated: only " +
        "providers that have the Responses API are asked. `background` is refused. Needs a key with the role invoke.",
      parameters: CALL_HEADERS,
      requestBody: {
        required: true,
        content: { "application/json": { schema: reference("CreateResponseRequest") } },
      },
      responses: {
        "200": {
          description:
            "The provider's answer, or with `stream: true` its events. `x-llm-gateway-*` headers say who answered, after how " +
            "many attempts, for how much; of a stream the member `llm_gateway` of the event that ends it does.",
          content: {
            "application/json": { schema: { type: "object" } },
            "text/event-stream": { schema: { type: "string" } },
          },
        },
        default: FAILED,
      },
    },
  },
  "/v1/models": {
    get: {
      operationId: "listOpenAiModels",
      tags: ["OpenAI-compatible"],
      summary: "The names of models that the key may ask for",
      responses: { "200": json("The list.", "OpenAiModelList"), default: FAILED },
    },
  },
};

const STRING: JsonObject = { type: "string" };
const TOKEN: JsonObject = { type: "integer", minimum: 0 };
const NULLABLE_STRING: JsonObject = { type: ["string", "null"] };

const END_USER: JsonObject = { ...NULLABLE_STRING, description: "The end user.", maxLength: 128 };
const FALLBACK_MODELS: JsonObject = {
  type: ["array", "null"],
  description: "Models to try when `model` fails; the gateway's own member.",
  maxItems: 8,
  items: STRING,
};
const TAGS: JsonObject = {
  type: ["object", "null"],
  maxProperties: 16,
  additionalProperties: { type: "string", maxLength: 128 },
};

export const OPENAI_SCHEMAS: JsonObject = {
  ChatCompletionRequest: {
    type: "object",
    description: "OpenAI's request, of which only what the gateway itself looks at is described.",
    required: ["model", "messages"],
    properties: {
      model: { ...STRING, description: "`provider/model`, a bare name or an alias, as in the RPCs." },
      messages: { type: "array", minItems: 1, items: { type: "object" } },
      stream: { type: ["boolean", "null"] },
      stream_options: {
        type: ["object", "null"],
        properties: { include_usage: { type: "boolean", description: "Asks for the chunk with the usage." } },
      },
      fallback_models: FALLBACK_MODELS,
      metadata: { ...TAGS, description: "Tags for cost attribution; sent on only with `store: true`." },
      user: { ...END_USER, description: "The end user, unless `safety_identifier` names one." },
      safety_identifier: END_USER,
    },
    additionalProperties: true,
  },
  CreateResponseRequest: {
    type: "object",
    description: "OpenAI's request, of which only what the gateway itself looks at is described.",
    required: ["model"],
    properties: {
      model: { ...STRING, description: "`provider/model`, a bare name or an alias, as in the RPCs." },
      input: { type: ["string", "array", "null"], items: { type: "object" } },
      stream: { type: ["boolean", "null"] },
      background: { type: ["boolean", "null"], enum: [false, null] },
      fallback_models: FALLBACK_MODELS,
      metadata: { ...TAGS, description: "Tags for cost attribution; not sent on with `store: false`." },
      user: { ...END_USER, description: "The end user, unless `safety_identifier` names one." },
      safety_identifier: END_USER,
    },
    additionalProperties: true,
  },
  EmbeddingsRequest: {
    type: "object",
    description: "OpenAI's request, of which only what the gateway itself looks at is described.",
    required: ["model", "input"],
    properties: {
      model: { ...STRING, description: "`provider/model`, a bare name or an alias, as in the RPCs." },
      input: {
        description: "A text, an array of texts, an array of tokens, or an array of such arrays.",
        oneOf: [
          { type: "string", minLength: 1 },
          { type: "array", minItems: 1, maxItems: 2048, items: { type: "string", minLength: 1 } },
          { type: "array", minItems: 1, maxItems: 32768, items: TOKEN },
          { type: "array", minItems: 1, maxItems: 2048, items: { type: "array", minItems: 1, items: TOKEN } },
        ],
      },
      encoding_format: { type: ["string", "null"], enum: ["float", "base64", null] },
      dimensions: { type: ["integer", "null"], minimum: 1, maximum: 65536 },
      fallback_models: {
        type: ["array", "null"],
        description: "Models to try when `model` fails; the gateway's own member.",
        maxItems: 8,
        items: STRING,
      },
      metadata: {
        type: ["object", "null"],
        description: "Tags for cost attribution; never sent on.",
        maxProperties: 16,
        additionalProperties: { type: "string", maxLength: 128 },
      },
      user: { ...NULLABLE_STRING, description: "The end user.", maxLength: 128 },
    },
    additionalProperties: true,
  },
  OpenAiModelList: {
    type: "object",
    properties: {
      object: { type: "string", enum: ["list"] },
      data: { type: "array", items: reference("OpenAiModel") },
    },
  },
  OpenAiModel: {
    type: "object",
    properties: {
      id: STRING,
      object: { type: "string", enum: ["model"] },
      created: { type: "integer", description: "Always 0: nobody tells the gateway." },
      owned_by: { ...STRING, description: "The provider that is asked first." },
      llm_gateway: {
        type: "object",
        properties: { chain: { type: "array", items: STRING, description: "What is tried, in order." } },
      },
    },
  },
  OpenAiError: {
    type: "object",
    required: ["error"],
    properties: {
      error: {
        type: "object",
        required: ["message", "type", "param", "code"],
        properties: { message: STRING, type: STRING, param: NULLABLE_STRING, code: NULLABLE_STRING },
      },
    },
  },
};
