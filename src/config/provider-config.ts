import { PROVIDER_TYPE_NAMES, PROVIDER_TYPES, type ProviderTypeName } from "../core/provider-types.ts";
import { type BedrockAccess, readBedrockEnvironment, toAccess } from "./bedrock-config.ts";
import type { ProviderConfig } from "./config.ts";
import type { ConfigFile } from "./config-file.ts";
import type { EnvironmentReader } from "./read-environment.ts";

/** What the default chain tries at each provider, in this order, unless the file says otherwise. */
export const DEFAULT_MODELS: readonly { readonly provider: string; readonly model: string }[] =
  PROVIDER_TYPE_NAMES.flatMap((name) => {
    const { defaultModel } = PROVIDER_TYPES[name];
    return defaultModel === undefined ? [] : [{ provider: name, model: defaultModel }];
  });

const DEFAULT_TIMEOUT_SECONDS = 30;

/** The providers of the environment and of the file; the file wins where both name one. */
export function readProviders(environment: EnvironmentReader, file: ConfigFile): readonly ProviderConfig[] {
  const timeoutMs = environment.secondsAsMs("PROVIDER_TIMEOUT", {
    fallback: DEFAULT_TIMEOUT_SECONDS,
    min: 0.1,
    max: 3_600,
  });
  const providers = new Map<string, ProviderConfig>();
  for (const name of PROVIDER_TYPE_NAMES) {
    const provider =
      name === "bedrock"
        ? readBedrock(environment, timeoutMs)
        : readEnvironmentProvider(environment, name, timeoutMs);
    if (provider) providers.set(name, provider);
  }
  for (const [name, entry] of Object.entries(file.providers ?? {})) {
    const provider = readFileProvider(environment, { name, entry, timeoutMs });
    if (provider) providers.set(name, provider);
  }
  return [...providers.values()];
}

function readBedrock(environment: EnvironmentReader, timeoutMs: number): ProviderConfig | undefined {
  const access = readBedrockEnvironment(environment);
  return access && { name: "bedrock", profile: "bedrock", ...access, headers: {}, timeoutMs };
}

/** A provider is configured by its key, or without one by its base URL. */
function readEnvironmentProvider(
  environment: EnvironmentReader,
  name: ProviderTypeName,
  timeoutMs: number,
): ProviderConfig | undefined {
  const type = PROVIDER_TYPES[name];
  const apiKey = environment.secret(`${type.environmentPrefix}_API_KEY`);
  const urlVariable = `${type.environmentPrefix}_BASE_URL`;
  const configuredUrl = environment.url(urlVariable, ["https:", "http:"]);
  const isConfigured = apiKey !== undefined || (!type.needsKey && configuredUrl !== undefined);
  if (!isConfigured) return undefined;
  const baseUrl = configuredUrl ?? type.baseUrl;
  if (baseUrl === undefined) {
    if (environment.text(urlVariable) === undefined) environment.issues.push(`${urlVariable} is not set`);
    return undefined;
  }
  const headers: Record<string, string> = {};
  for (const [header, variable] of Object.entries(type.headerVariables)) {
    const value = environment.text(variable);
    if (value !== undefined) headers[header] = value;
  }
  return { name, profile: name, baseUrl, apiKey, headers, timeoutMs };
}

type FileEntry = NonNullable<ConfigFile["providers"]>[string];

function readFileProvider(
  environment: EnvironmentReader,
  options: {
    readonly name: string;
    readonly entry: FileEntry;
    readonly timeoutMs: number;
  },
): ProviderConfig | undefined {
  const { name, entry, timeoutMs } = options;
  const path = `CONFIG_FILE: providers.${name}`;
  const profile = entry.type ?? entry.profile;
  if (profile === undefined) throw new TypeError("the file was not checked");
  const headers = entry.headers ?? {};
  const own = {
    ...{ name, profile, headers, timeoutMs: timeoutOf(entry) ?? timeoutMs },
    cancelledStreams: entry.cancelled_streams,
  };
  if (profile === "bedrock") {
    const access = readFileBedrock(environment, entry, path);
    return access && { ...own, ...access };
  }
  const type = PROVIDER_TYPES[profile];
  const baseUrl = entry.base_url ?? type.baseUrl;
  if (baseUrl === undefined) {
    environment.issues.push(`${path}: base_url is required with the type ${profile}`);
    return undefined;
  }
  if (type.needsKey && entry.api_key_env === undefined && baseUrl !== type.baseUrl && type.baseUrl) {
    // The provider's own key must not go to another host by an oversight.
    environment.issues.push(`${path}: api_key_env is required with a base_url of one's own`);
    return undefined;
  }
  const keyVariable = entry.api_key_env ?? (type.needsKey ? `${type.environmentPrefix}_API_KEY` : undefined);
  const issuesBefore = environment.issues.length;
  const apiKey = keyVariable === undefined ? undefined : environment.secret(keyVariable);
  if (keyVariable !== undefined && apiKey === undefined) {
    if (environment.issues.length === issuesBefore)
      environment.issues.push(`${path}: ${keyVariable} is not set`);
    return undefined;
  }
  return { ...own, baseUrl, apiKey };
}

const timeoutOf = ({ timeout }: FileEntry): number | undefined =>
  timeout === undefined ? undefined : Math.round(timeout * 1_000);

function readFileBedrock(
  environment: EnvironmentReader,
  entry: FileEntry,
  path: string,
): BedrockAccess | undefined {
  const { region, base_url: baseUrl, api_key_env: keyVariable } = entry;
  if (region === undefined) {
    environment.issues.push(`${path}: region is required with the type bedrock`);
    return undefined;
  }
  const apiKey = keyVariable === undefined ? undefined : environment.secret(keyVariable);
  if (keyVariable !== undefined && apiKey === undefined) {
    environment.issues.push(`${path}: ${keyVariable} is not set`);
    return undefined;
  }
  return toAccess(environment, { region, baseUrl, apiKey, where: path });
}
