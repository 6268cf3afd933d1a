import { type Simulator, startSimulator } from "../simulator/simulator.ts";
import type { Config, ProviderConfig } from "./config/config.ts";

const DEMO_PROVIDERS = ["openai", "deepseek", "huggingface"] as const;
const DEMO_TIMEOUT_MS = 30_000;

/** The simulator, which stands for all providers. */
export interface DemoMode {
  readonly simulator: Simulator;
  /** The configuration with the simulator as its providers. */
  apply(config: Config): Config;
}

export async function startDemoMode(): Promise<DemoMode> {
  const simulator = await startSimulator({});
  const providers = DEMO_PROVIDERS.map(
    (name): ProviderConfig => ({
      name,
      profile: name,
      baseUrl: simulator.baseUrl(name),
      apiKey: "demo-key-of-the-simulator",
      headers: {},
      timeoutMs: DEMO_TIMEOUT_MS,
    }),
  );
  return { simulator, apply: (config) => ({ ...config, providers }) };
}
