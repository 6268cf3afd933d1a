import type { Provider } from "../core/provider.ts";
import { DEFAULT_MAX_SOCKETS, HttpTransport } from "./http-transport.ts";
import { createOpenAiChatProvider } from "./openai-chat/adapter.ts";
import type { OpenAiChatProfile } from "./openai-chat/profile.ts";
import { deepseekProfile } from "./profiles/deepseek.ts";
import { huggingfaceProfile } from "./profiles/huggingface.ts";
import { openaiProfile } from "./profiles/openai.ts";

/** The providers whose dialect is known. */
export const PROVIDER_PROFILES = {
  openai: openaiProfile,
  deepseek: deepseekProfile,
  huggingface: huggingfaceProfile,
} as const satisfies Readonly<Record<string, OpenAiChatProfile>>;

export type ProviderProfileName = keyof typeof PROVIDER_PROFILES;

export interface ProviderOptions {
  /** The name in configuration, metrics and the ledger; several providers may share a profile. */
  readonly name: string;
  readonly profile: ProviderProfileName;
  /**
   * `http:` or `https:`, with the path that `/chat/completions` is appended to, e.g. `https://api.openai.com/v1`.
   * From the configuration only: the key goes wherever this points, and nowhere else.
   */
  readonly baseUrl: string;
  /** Sent as a bearer token. Printable ASCII without spaces. */
  readonly apiKey: string;
  /** Sent with every call, e.g. `OpenAI-Organization` or `X-HF-Bill-To`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Limit of DNS, TCP, TLS and the wait for a free socket together. */
  readonly connectTimeoutMs: number;
  /** Default 2,048. */
  readonly maxSockets?: number | undefined;
}

/** What the adapter sets itself. */
const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "authorization",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "user-agent",
]);

const HEADER_NAME_PATTERN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE_PATTERN = /^[\x20-\x7e]+$/;

/**
 * A provider, ready to be called; nothing is connected yet.
 * @throws RangeError naming the option that cannot be right. Its message never holds the key.
 */
export function createProvider(options: ProviderOptions): Provider {
  const baseUrl = parseBaseUrl(options);
  if (!/^[\x21-\x7e]+$/.test(options.apiKey)) {
    throw new RangeError(
      `apiKey of provider ${options.name} must be printable ASCII without spaces, and not empty`,
    );
  }
  const transport = new HttpTransport({
    origin: baseUrl.origin,
    connectTimeoutMs: options.connectTimeoutMs,
    maxSockets: options.maxSockets ?? DEFAULT_MAX_SOCKETS,
  });
  return createOpenAiChatProvider({
    name: options.name,
    profile: PROVIDER_PROFILES[options.profile],
    transport,
    basePath: baseUrl.pathname.replace(/\/+$/, ""),
    headers: [
      ...["authorization", `Bearer ${options.apiKey}`],
      ...["content-type", "application/json"],
      ...["user-agent", "llm-gateway"],
      ...toExtraHeaders(options),
    ],
    secrets: [options.apiKey],
  });
}

function parseBaseUrl(options: ProviderOptions): URL {
  const url = URL.parse(options.baseUrl);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new RangeError(`baseUrl of provider ${options.name} must be an http or https URL`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new RangeError(
      `baseUrl of provider ${options.name} must not hold credentials, a query or a fragment`,
    );
  }
  return url;
}

function toExtraHeaders(options: ProviderOptions): readonly string[] {
  return Object.entries(options.headers ?? {}).flatMap(([name, value]) => {
    const isValid = HEADER_NAME_PATTERN.test(name) && HEADER_VALUE_PATTERN.test(value);
    if (!isValid || RESERVED_HEADERS.has(name.toLowerCase())) {
      throw new RangeError(`header ${JSON.stringify(name)} of provider ${options.name} cannot be set`);
    }
    return [name, value];
  });
}
