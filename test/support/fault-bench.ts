import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { accountOf } from "../../simulator/accounts.ts";
import type { PersonalityName } from "../../simulator/personalities.ts";
import { LIST_PRICES } from "../../simulator/prices.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import {
  type CompletionOptions,
  type CompletionOutcome,
  createGatewayClients,
  type GatewayClients,
} from "./completion-client.ts";
import type { Evidence, JudgedCall } from "./evidence.ts";
import { ADMIN_KEY, type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { promptOf } from "./prompt.ts";

/** Providers of the gateway that are configured alike; each test takes unused ones, with closed breakers. */
export interface ProviderGroup {
  readonly profile: PersonalityName;
  /** Default: the simulator. */
  readonly baseUrl?: string;
  /** Default: `PROVIDER_TIMEOUT`. */
  readonly timeoutSeconds?: number;
  /** Default 40. */
  readonly count?: number;
  /** Of their models; default unknown. */
  readonly contextWindowTokens?: number;
}

export interface FaultBenchOptions {
  /** By name; default one group for each personality of the simulator, of its name. */
  readonly groups?: Readonly<Record<string, ProviderGroup>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Aliases, as in the configuration file. */
  readonly models?: Readonly<Record<string, unknown>>;
  /** Path of the gateway's program; default `src/main.ts`. */
  readonly program?: string;
  /** Kept after the bench if given. */
  readonly dataDir?: string;
}

export interface BenchCall extends Omit<CompletionOptions, "secret" | "requestId" | "text">, JudgedCall {
  readonly requestId?: string;
  readonly secret?: string;
  readonly text?: string;
}

/** A running gateway in front of a running simulator, and all that was asked of it. */
export interface FaultBench extends Evidence {
  readonly gateway: GatewayProcess;
  readonly simulator: Simulator;
  readonly clients: GatewayClients;
  /** Of a key that may invoke. */
  readonly secret: string;
  readonly apiKeyId: string;
  /** Secret that each provider of the gateway is called with. */
  readonly providerKeys: ReadonlyMap<string, string>;
  /** Every completion that was asked for, as its caller saw it. */
  readonly outcomes: readonly CompletionOutcome[];
  readonly calls: ReadonlyMap<string, JudgedCall>;
  /** `provider/model` of a group, of a provider that was not used yet. */
  candidate(group?: string, model?: string): string;
  complete(call: BenchCall): Promise<CompletionOutcome>;
  /** Expects a call of another client: what it has to ask, under which request id. */
  expects(call: JudgedCall): { readonly requestId: string; readonly text: string };
  close(): Promise<void>;
}

const MODELS: Readonly<Record<PersonalityName, string>> = {
  openai: "sim-model",
  deepseek: "sim-model",
  huggingface: "sim-org/sim-model:sim",
  anthropic: "sim-model",
  gemini: "sim-model",
};

const DEFAULT_GROUPS: Readonly<Record<string, ProviderGroup>> = {
  openai: { profile: "openai" },
  deepseek: { profile: "deepseek" },
  huggingface: { profile: "huggingface" },
};

const DEFAULT_COUNT = 40;

interface Named extends ProviderGroup {
  readonly name: string;
  readonly group: string;
  readonly key: string;
}

/** Starts both. The prices are the simulator's own, for every provider. */
export async function startFaultBench(options: FaultBenchOptions = {}): Promise<FaultBench> {
  const simulator = await startSimulator();
  const providers = nameProviders(options.groups ?? DEFAULT_GROUPS);
  const folder = mkdtempSync(join(tmpdir(), "llm-gateway-bench-"));
  const configFile = join(folder, "config.json");
  writeFileSync(configFile, JSON.stringify({ ...configOf(providers, simulator), models: options.models }));
  const gateway = await startGatewayProcess({
    env: {
      CONFIG_FILE: configFile,
      ...Object.fromEntries(providers.map(({ name, key }) => [keyVariable(name), key])),
      ...options.env,
    },
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    ...(options.program === undefined ? {} : { program: options.program }),
  });
  const clients = createGatewayClients(gateway.url);
  const created = await clients
    .keys(ADMIN_KEY)
    .createKey({ key: { displayName: "bench", roles: [KeyRole.INVOKE] } });
  const outcomes: CompletionOutcome[] = [];
  const calls = new Map<string, JudgedCall>();
  const unused = new Map(
    Object.keys(options.groups ?? DEFAULT_GROUPS).map((group) => [
      group,
      providers.filter((p) => p.group === group),
    ]),
  );
  const close = async () => {
    const code = await gateway.stop();
    await simulator.close();
    rmSync(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the gateway exited with ${code}:\n${gateway.output()}`);
  };
  const providerByAccount = new Map(
    providers.flatMap(({ name, key }) =>
      [`Bearer ${key}`, key].map((credential) => [accountOf(credential), name] as const),
    ),
  );
  return {
    ...{ gateway, simulator, clients, outcomes, calls, close, url: gateway.url },
    providerOf: ({ account = "" }) => providerByAccount.get(account),
    async billed() {
      await simulator.whenIdle();
      return simulator.bill.lines;
    },
    secret: created.secret,
    apiKeyId: created.key?.apiKeyId ?? "",
    providerKeys: new Map(providers.map(({ name, key }) => [name, key])),
    candidate(group = "openai", model) {
      const next = unused.get(group)?.shift();
      if (!next) throw new Error(`no provider left in group ${group}`);
      return `${next.name}/${model ?? MODELS[next.profile]}`;
    },
    expects(call) {
      const requestId = randomUUID();
      calls.set(requestId, call);
      return { requestId, text: promptOf(requestId, call) };
    },
    async complete(call) {
      const requestId = call.requestId ?? randomUUID();
      calls.set(requestId, call);
      const text = promptOf(requestId, call);
      const outcome = await clients.complete({
        ...call,
        requestId,
        text,
        secret: call.secret ?? created.secret,
      });
      outcomes.push(outcome);
      return outcome;
    },
  };
}

function nameProviders(groups: Readonly<Record<string, ProviderGroup>>): readonly Named[] {
  return Object.entries(groups).flatMap(([group, settings]) =>
    Array.from({ length: settings.count ?? DEFAULT_COUNT }, (_, index) => {
      const name = `${group}-${index + 1}`;
      return { ...settings, name, group, key: `sk-${name}-${randomUUID()}` };
    }),
  );
}

const keyVariable = (provider: string) => `KEY_OF_${provider.toUpperCase().replaceAll("-", "_")}`;

function configOf(providers: readonly Named[], simulator: Simulator): object {
  return {
    // A request is answered by the models that it names, and by no others.
    default_chain: [],
    providers: Object.fromEntries(
      providers.map(({ name, profile, baseUrl, timeoutSeconds }) => [
        name,
        {
          profile,
          base_url: baseUrl ?? simulator.baseUrl(profile),
          api_key_env: keyVariable(name),
          ...(timeoutSeconds === undefined ? {} : { timeout: timeoutSeconds }),
        },
      ]),
    ),
    context_windows: Object.fromEntries(
      providers.flatMap(({ name, profile, contextWindowTokens }) =>
        contextWindowTokens === undefined ? [] : [[`${name}/${MODELS[profile]}`, contextWindowTokens]],
      ),
    ),
    prices: providers.flatMap(({ name, profile }) =>
      LIST_PRICES.filter(({ personality }) => personality === profile).map((price) => ({
        provider: name,
        model: price.model,
        input: price.inputUsdPerMillion,
        cache_read: price.cachedInputUsdPerMillion,
        cache_write: price.cacheWriteInputUsdPerMillion,
        output: price.outputUsdPerMillion,
      })),
    ),
  };
}
