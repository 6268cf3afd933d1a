import type { ProviderConfig } from "./config.ts";
import type { ConfigFile } from "./config-file.ts";
import type { EnvironmentReader } from "./read-environment.ts";

/** The providers that need nothing but a key. */
const BUILT_IN = [
  { name: "openai", prefix: "OPENAI", baseUrl: "https://api.openai.com/v1", defaultModel: "gpt-5-mini" },
  {
    name: "deepseek",
    prefix: "DEEPSEEK",
    baseUrl: "https://api.deepseek.com",
    defaultModel: "deepseek-flash",
  },
  {
    name: "huggingface",
    prefix: "HUGGINGFACE",
    baseUrl: "https://router.huggingface.co/v1",
    defaultModel: "meta-llama/Llama-3.3-70B-Instruct:groq",
  },
] as const;

/** What the default chain tries at each provider, in this order, unless the file says otherwise. */
export const DEFAULT_MODELS: readonly { readonly provider: string; readonly model: string }[] = BUILT_IN.map(
  ({ name, defaultModel }) => ({ provider: name, model: defaultModel }),
);

const DEFAULT_TIMEOUT_SECONDS = 30;

/** The providers of the environment and of the file; the file wins where both name one. */
export function readProviders(environment: EnvironmentReader, file: ConfigFile): readonly ProviderConfig[] {
  const timeoutMs = environment.secondsAsMs("PROVIDER_TIMEOUT", {
    fallback: DEFAULT_TIMEOUT_SECONDS,
    min: 0.1,
    max: 3_600,
  });
  const providers = new Map<string, ProviderConfig>();
  for (const { name, prefix, baseUrl } of BUILT_IN) {
    const apiKey = environment.secret(`${prefix}_API_KEY`);
    const configuredUrl = environment.url(`${prefix}_BASE_URL`, ["https:", "http:"]);
    if (apiKey === undefined) continue;
    providers.set(name, {
      name,
      profile: name,
      baseUrl: configuredUrl ?? baseUrl,
      apiKey,
      headers: extraHeaders(environment, name),
      timeoutMs,
    });
  }
  for (const [name, entry] of Object.entries(file.providers ?? {})) {
    const issuesBefore = environment.issues.length;
    const apiKey = environment.secret(entry.api_key_env);
    if (apiKey === undefined) {
      if (environment.issues.length === issuesBefore)
        environment.issues.push(`CONFIG_FILE: providers.${name}: ${entry.api_key_env} is not set`);
      continue;
    }
    providers.set(name, {
      name,
      profile: entry.profile,
      baseUrl: entry.base_url,
      apiKey,
      headers: entry.headers ?? {},
      timeoutMs: entry.timeout === undefined ? timeoutMs : Math.round(entry.timeout * 1_000),
      cancelledStreams: entry.cancelled_streams,
    });
  }
  return [...providers.values()];
}

function extraHeaders(environment: EnvironmentReader, provider: (typeof BUILT_IN)[number]["name"]) {
  const headers: Record<string, string> = {};
  const set = (header: string, variable: string) => {
    const value = environment.text(variable);
    if (value !== undefined) headers[header] = value;
  };
  if (provider === "openai") {
    set("openai-organization", "OPENAI_ORGANIZATION");
    set("openai-project", "OPENAI_PROJECT");
  }
  if (provider === "huggingface") set("x-hf-bill-to", "HUGGINGFACE_BILL_TO");
  return headers;
}
