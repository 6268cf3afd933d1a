import type { Config, ProviderConfig } from "./config/config.ts";
import type { Provider } from "./core/provider.ts";
import type { TimeoutPolicy } from "./gateway/attempt-timeouts.ts";
import { createProvider } from "./providers/create-provider.ts";

export type ConfiguredProviders = ReadonlyMap<
  string,
  { readonly provider: Provider; readonly timeouts: TimeoutPolicy }
>;

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
      return [name, { provider, timeouts: { providerTimeoutMs: timeoutMs, streamIdleMs, streamTotalMs } }];
    }),
  );
}

export async function closeProviders(providers: ConfiguredProviders): Promise<void> {
  await Promise.all([...providers.values()].map(({ provider }) => provider.close()));
}
