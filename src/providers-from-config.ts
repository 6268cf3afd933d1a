import type { Config, ProviderConfig } from "./config/config.ts";
import { PROVIDER_TYPES } from "./core/provider-types.ts";
import type { ConfiguredProvider } from "./gateway/run-chain.ts";
import { createProvider } from "./providers/create-provider.ts";

export type ConfiguredProviders = ReadonlyMap<string, ConfiguredProvider>;

/** @throws RangeError when a base URL, key or header cannot be used; the message does not hold the key */
export function createProviders(
  configs: readonly ProviderConfig[],
  { connectMs, streamIdleMs, streamTotalMs }: Config["deadlines"],
): ConfiguredProviders {
  return new Map(
    configs.map((config) => {
      const { name, profile, baseUrl, apiKey, aws, headers, timeoutMs } = config;
      const provider = createProvider({
        name,
        profile,
        baseUrl,
        apiKey,
        aws,
        headers,
        connectTimeoutMs: connectMs,
      });
      const timeouts = { providerTimeoutMs: timeoutMs, streamIdleMs, streamTotalMs };
      const cancelledStreams = config.cancelledStreams ?? PROVIDER_TYPES[profile].cancelledStreams;
      return [name, { provider, timeouts, cancelledStreams }];
    }),
  );
}

export async function closeProviders(providers: ConfiguredProviders): Promise<void> {
  await Promise.all([...providers.values()].map(({ provider }) => provider.close()));
}
