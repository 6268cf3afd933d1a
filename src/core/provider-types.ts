import type { CancelledStreams } from "./provider.ts";

/** What an operator has to know of a kind of provider; how it is spoken to is in `providers/`. */
export interface ProviderType {
  /** Of the environment variables `…_API_KEY` and `…_BASE_URL`, which configure the provider of the type's name. */
  readonly environmentPrefix: string;
  /** Undefined when only the operator can know it; the base URL then has to be configured. */
  readonly baseUrl: string | undefined;
  /** False where a server of one's own needs none: it is configured by its base URL. */
  readonly needsKey: boolean;
  /** Header → the variable that it is sent from, if that is set. */
  readonly headerVariables: Readonly<Record<string, string>>;
  /**
   * What it bills for a call that is given up, as OpenRouter lists it of its upstreams
   * (openrouter.ai/docs/api-reference/streaming, November 2026).
   */
  readonly cancelledStreams: CancelledStreams;
  /** The provider's id in the bundled price list; undefined when the list has no prices of it. */
  readonly priceList: string | undefined;
  /** What the default chain tries at it; undefined when it is no part of the default chain. */
  readonly defaultModel: string | undefined;
  /** Bare names of models that can only mean this provider. */
  readonly bareModels: RegExp | undefined;
}

export type ProviderTypeName =
  | "openai"
  | "deepseek"
  | "huggingface"
  | "anthropic"
  | "gemini"
  | "bedrock"
  | "mistral"
  | "groq"
  | "together"
  | "openrouter"
  | "azure-openai"
  | "xai"
  | "fireworks"
  | "ollama"
  | "vllm";

/** The kinds of providers that the gateway knows, in the order of the default chain. */
export const PROVIDER_TYPES: Readonly<Record<ProviderTypeName, ProviderType>> = {
  openai: hosted("OPENAI", "https://api.openai.com/v1", {
    headerVariables: { "openai-organization": "OPENAI_ORGANIZATION", "openai-project": "OPENAI_PROJECT" },
    priceList: "openai",
    defaultModel: "gpt-5-mini",
    bareModels: /^(gpt-|chatgpt-|text-embedding-|o\d)[^/]*$/,
  }),
  deepseek: hosted("DEEPSEEK", "https://api.deepseek.com", {
    priceList: "deepseek",
    defaultModel: "deepseek-flash",
    bareModels: /^deepseek-[^/]*$/,
  }),
  // Priced by the partner that a model's name pins: see the price list.
  huggingface: hosted("HUGGINGFACE", "https://router.huggingface.co/v1", {
    headerVariables: { "x-hf-bill-to": "HUGGINGFACE_BILL_TO" },
    cancelledStreams: "drain",
    defaultModel: "meta-llama/Llama-3.3-70B-Instruct:groq",
    bareModels: /^[^/]+\/[^/]+$/,
  }),
  anthropic: hosted("ANTHROPIC", "https://api.anthropic.com/v1", {
    priceList: "anthropic",
    bareModels: /^claude-[^/]*$/,
  }),
  gemini: hosted("GEMINI", "https://generativelanguage.googleapis.com/v1beta", {
    cancelledStreams: "drain",
    priceList: "google",
    bareModels: /^gemini-[^/]*$/,
  }),
  // The base URL is that of the region, and a key may be replaced by AWS credentials.
  bedrock: hosted("BEDROCK", undefined, { cancelledStreams: "drain", priceList: "aws" }),
  mistral: hosted("MISTRAL", "https://api.mistral.ai/v1", {
    cancelledStreams: "drain",
    priceList: "mistral",
    bareModels: /^(mistral|ministral|magistral|codestral|devstral|pixtral)-[^/]*$/,
  }),
  groq: hosted("GROQ", "https://api.groq.com/openai/v1", { cancelledStreams: "drain", priceList: "groq" }),
  together: hosted("TOGETHER", "https://api.together.ai/v1", { priceList: "together" }),
  openrouter: hosted("OPENROUTER", "https://openrouter.ai/api/v1", { priceList: "openrouter" }),
  // The base URL is of the operator's own resource: https://<resource>.openai.azure.com/openai/v1
  "azure-openai": hosted("AZURE_OPENAI", undefined, { priceList: "azure" }),
  xai: hosted("XAI", "https://api.x.ai/v1", { priceList: "x-ai", bareModels: /^grok-[^/]*$/ }),
  fireworks: hosted("FIREWORKS", "https://api.fireworks.ai/inference/v1", { priceList: "fireworks" }),
  ollama: { ...hosted("OLLAMA", undefined, {}), needsKey: false },
  vllm: { ...hosted("VLLM", undefined, {}), needsKey: false },
};

/** The names of the kinds of providers. */
export const PROVIDER_TYPE_NAMES = Object.keys(PROVIDER_TYPES) as readonly ProviderTypeName[];

function hosted(
  environmentPrefix: string,
  baseUrl: string | undefined,
  rest: Partial<ProviderType>,
): ProviderType {
  return {
    environmentPrefix,
    baseUrl,
    needsKey: true,
    headerVariables: {},
    cancelledStreams: "estimate",
    priceList: undefined,
    defaultModel: undefined,
    bareModels: undefined,
    ...rest,
  };
}
