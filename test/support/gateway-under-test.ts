import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { type ApiKeySchema, KeyService } from "../../gen/es/llmgateway/v1/key_pb.ts";
import type { BillLine } from "../../simulator/bill.ts";
import type { PersonalityName } from "../../simulator/personalities.ts";
import { costPicoUsd, LIST_PRICES } from "../../simulator/prices.ts";
import type { Script } from "../../simulator/script.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { createFetchClient } from "./clients/fetch-client.ts";
import type { GatewayClient } from "./clients/gateway-client.ts";
import { ADMIN_KEY, type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";

/** What the suites ask for, at prices that are also the simulator's. */
export const MODEL = "openai/sim-model";
export const FALLBACK_MODEL = "deepseek/sim-model";
export const HUGGINGFACE_MODEL = "huggingface/sim-org/sim-model:sim";
/** An alias for the three of them, in this order. */
export const CHAIN = "chain";
/** Two models that make embeddings. */
export const EMBEDDING_MODEL = "openai/sim-embedding";
export const OTHER_EMBEDDING_MODEL = "openai/other-embedding";

export interface CreatedKey {
  readonly apiKeyId: string;
  readonly secret: string;
}

/** A gateway process with the simulator as all of its providers. */
export interface GatewayUnderTest {
  readonly url: string;
  readonly process: GatewayProcess;
  readonly simulator: Simulator;
  /** Calls with the administrator key by its `adminKey`. */
  readonly adminKey: string;
  /** A new key; by default it may only complete. */
  createKey(key?: MessageInitShape<typeof ApiKeySchema>): Promise<CreatedKey>;
  /** What the simulator bills for the calls whose prompt holds the text, once none is in progress. */
  billOf(text: string): Promise<readonly BillLine[]>;
  /** What the simulator received in the calls whose prompt holds the text. */
  requestsOf(text: string): readonly ReceivedRequest[];
  stop(): Promise<number | string>;
}

/** A body as the simulator received it, with what tests look at. */
export interface ReceivedRequest {
  readonly callId: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly aborted: boolean;
  readonly abortedAfterMs: number | undefined;
}

export interface GatewayUnderTestOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly dataDir?: string;
  /** More aliases, as in the configuration file. */
  readonly models?: Readonly<Record<string, unknown>>;
  /** One that outlives the gateway. */
  readonly simulator?: Simulator;
}

/** Providers as a deployment configures them, all of them the simulator. */
export function simulatedProviders(simulator: Pick<Simulator, "baseUrl">): Record<string, string> {
  return {
    OPENAI_API_KEY: "key-of-openai",
    OPENAI_BASE_URL: simulator.baseUrl("openai"),
    DEEPSEEK_API_KEY: "key-of-deepseek",
    DEEPSEEK_BASE_URL: simulator.baseUrl("deepseek"),
    HUGGINGFACE_API_KEY: "key-of-huggingface",
    HUGGINGFACE_BASE_URL: simulator.baseUrl("huggingface"),
  };
}

/**
 * No default chain, so that a model fails alone unless a test says otherwise, and the simulator's own prices, which
 * unlike the real ones are the same at all hours.
 */
export function writeConfigFile(models: Readonly<Record<string, unknown>> = {}): {
  readonly path: string;
  remove(): void;
} {
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-config-"));
  const path = join(directory, "gateway.yaml");
  const config = {
    default_chain: [],
    models: { [CHAIN]: [MODEL, FALLBACK_MODEL, HUGGINGFACE_MODEL], ...models },
    prices: LIST_PRICES.map((price) => ({
      provider: price.personality,
      model: price.model,
      input: price.inputUsdPerMillion,
      output: price.outputUsdPerMillion,
      cache_read: price.cachedInputUsdPerMillion,
      cache_write: price.cacheWriteInputUsdPerMillion,
    })),
  };
  // YAML takes JSON as it is.
  writeFileSync(path, JSON.stringify(config));
  return { path, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

export async function startGatewayUnderTest(
  options: GatewayUnderTestOptions = {},
): Promise<GatewayUnderTest> {
  const simulator = options.simulator ?? (await startSimulator());
  const config = writeConfigFile(options.models);
  const cleanUp = async () => {
    if (!options.simulator) await simulator.close();
    config.remove();
  };
  const process = await startGatewayProcess({
    env: { ...simulatedProviders(simulator), CONFIG_FILE: config.path, ...options.env },
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
  }).catch(async (error: unknown) => {
    await cleanUp();
    throw error;
  });
  const requestsOf = (text: string) => simulatorRequests(simulator, text);
  return {
    url: process.url,
    process,
    simulator,
    adminKey: ADMIN_KEY,
    createKey: (key) => createKey(createFetchClient(process.url), key),
    async billOf(text) {
      await simulator.whenIdle();
      const calls = new Set(requestsOf(text).map(({ callId }) => callId));
      return simulator.bill.lines.filter(({ callId }) => calls.has(callId));
    },
    requestsOf,
    async stop() {
      const code = await process.stop();
      await cleanUp();
      return code;
    },
  };
}

export async function createKey(
  client: GatewayClient,
  key: MessageInitShape<typeof ApiKeySchema> = {},
): Promise<CreatedKey> {
  const { message } = await client.unary(
    KeyService.method.createKey,
    {
      key: { displayName: "a test", roles: [KeyRole.INVOKE], ...key } as MessageInitShape<
        typeof ApiKeySchema
      >,
    },
    { key: ADMIN_KEY },
  );
  return { apiKeyId: message.key?.apiKeyId ?? "", secret: message.secret };
}

function simulatorRequests(simulator: Simulator, text: string): readonly ReceivedRequest[] {
  const written = JSON.stringify(text).slice(1, -1);
  return simulator.requests
    .recent()
    .filter(({ body }) => JSON.stringify(body).includes(written))
    .map(({ callId, headers, body, aborted, abortedAfterMs }) => ({
      ...{ callId, headers, aborted, abortedAfterMs },
      body: body as Readonly<Record<string, unknown>>,
    }));
}

/** What tells one of the simulator's providers how to answer the message in which it stands. */
export function directive(personality: PersonalityName, script: Script): string {
  return `[[sim:${personality} ${JSON.stringify(script)}]]`;
}

/** The bill in picodollars; every model on it must have a price. */
export function billedPicoUsd(lines: readonly BillLine[]): bigint {
  return lines.reduce((sum, line) => {
    const cost = costPicoUsd(line.personality, line.model, line);
    if (cost === undefined) throw new Error(`${line.model} has no list price`);
    return sum + cost;
  }, 0n);
}

/** Picodollars as the contract writes money: USD with twelve places. */
export function usd(picoUsd: bigint): string {
  const digits = picoUsd.toString().padStart(13, "0");
  return `${digits.slice(0, -12)}.${digits.slice(-12)}`;
}
