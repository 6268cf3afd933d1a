import type { Provider } from "../core/provider.ts";
import { PROVIDER_TYPES, type ProviderTypeName } from "../core/provider-types.ts";
import { type AwsCredentials, createAwsSigner } from "./bedrock/aws-signer.ts";
import { createHttpProvider } from "./http-provider.ts";
import { DEFAULT_MAX_SOCKETS, HttpTransport } from "./http-transport.ts";
import { WIRES } from "./wires.ts";

export interface ProviderOptions {
  /** The name in configuration, metrics and the ledger; several providers may share a profile. */
  readonly name: string;
  readonly profile: ProviderTypeName;
  /**
   * `http:` or `https:`, with the path below which the dialect's own paths begin, e.g. `https://api.openai.com/v1`.
   * From the configuration only: the key goes wherever this points, and nowhere else.
   */
  readonly baseUrl: string;
  /** Printable ASCII without spaces. Undefined only for a type that needs no key: then none is sent. */
  readonly apiKey: string | undefined;
  /** For Bedrock, instead of a key: its requests are then signed. */
  readonly aws?: AwsCredentials | undefined;
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
  "api-key",
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
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-security-token",
  "x-api-key",
  "x-goog-api-key",
]);

const HEADER_NAME_PATTERN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE_PATTERN = /^[\x20-\x7e]+$/;

/**
 * A provider, ready to be called; nothing is connected yet.
 * @throws RangeError naming the option that cannot be right. Its message never holds the key.
 */
export function createProvider(options: ProviderOptions): Provider {
  const { name, profile, apiKey, aws, connectTimeoutMs, maxSockets = DEFAULT_MAX_SOCKETS } = options;
  const baseUrl = parseBaseUrl(options);
  refuseBadKey(options);
  const wire = WIRES[profile];
  const secrets = [apiKey, aws?.secretAccessKey, aws?.sessionToken].filter((secret) => secret !== undefined);
  return createHttpProvider({
    name,
    dialects: wire.createDialects(secrets),
    embeddings: wire.createEmbeddings?.(secrets),
    sign: aws && createAwsSigner(baseUrl, aws),
    transport: new HttpTransport({ origin: baseUrl.origin, connectTimeoutMs, maxSockets }),
    basePath: baseUrl.pathname.replace(/\/+$/, ""),
    headers: [
      ...(apiKey === undefined ? [] : wire.keyHeaders(apiKey)),
      ...["content-type", "application/json"],
      ...["user-agent", "llm-gateway"],
      ...toExtraHeaders(options),
    ],
  });
}

function refuseBadKey({ name, profile, apiKey, aws }: ProviderOptions): void {
  if (aws !== undefined) {
    if (profile !== "bedrock" || apiKey !== undefined) {
      throw new RangeError(
        `provider ${name} takes no AWS credentials beside a key, nor unless it is Bedrock`,
      );
    }
  } else if (apiKey === undefined) {
    if (PROVIDER_TYPES[profile].needsKey) throw new RangeError(`apiKey of provider ${name} is required`);
  } else if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new RangeError(`apiKey of provider ${name} must be printable ASCII without spaces, and not empty`);
  }
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
