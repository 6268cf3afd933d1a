import { join } from "node:path";
import { type Child, startChild } from "./child-process.ts";
import { readObject } from "./json-call.ts";
import { DIRECT_PERSONALITY, GATEWAY_PROVIDER, type Workload } from "./requests.ts";
import type { Workspace } from "./workspace.ts";

/** What the simulator's bill says about one model. */
export interface BillTotal {
  readonly model: string;
  readonly calls: bigint;
  readonly tokensIn: bigint;
  readonly tokensOut: bigint;
  readonly costPicoUsd: bigint;
}

/** The provider simulator as a process of its own. */
export interface Upstream {
  readonly child: Child;
  readonly url: string;
  /** Answers calls of the workload's model as the workload says. */
  prepare(workload: Workload): Promise<void>;
  /** The list prices, in the form of the gateway's price overrides. */
  prices(): Promise<readonly unknown[]>;
  /** What the gateway was billed, by model, once no call is in progress. */
  bill(): Promise<readonly BillTotal[]>;
}

const ENTRY = join(import.meta.dirname, "../simulator/main.ts");

export async function startUpstream(workspace: Workspace): Promise<Upstream> {
  const child = await startChild(workspace, {
    name: "upstream",
    command: [process.execPath, ENTRY],
    ready: /listening on (http:\S+)/,
  });
  const url = child.match[1] ?? "";
  return {
    child,
    url,
    async prepare({ model, tokensOut, tokenDelayMs }) {
      for (const personality of [GATEWAY_PROVIDER, DIRECT_PERSONALITY]) {
        await readObject(`${url}/_control/script`, {
          body: { personality, model, script: { tokensOut, tokenDelayMs } },
        });
      }
    },
    async prices() {
      const { prices } = await readObject(`${url}/_control/prices`);
      return (prices as ListPrice[]).map((price) => ({
        provider: price.personality,
        model: price.model,
        input: price.inputUsdPerMillion,
        cache_read: price.cachedInputUsdPerMillion,
        cache_write: price.cacheWriteInputUsdPerMillion,
        output: price.outputUsdPerMillion,
      }));
    },
    async bill() {
      const { totals } = await readObject(`${url}/_control/bill?wait=1&lines=0`);
      return (totals as JsonTotal[])
        .filter(({ personality }) => personality === GATEWAY_PROVIDER)
        .map((total) => ({
          model: total.model,
          calls: BigInt(total.calls),
          tokensIn: BigInt(total.tokensIn),
          tokensOut: BigInt(total.tokensOut),
          costPicoUsd: BigInt(total.costPicoUsd ?? 0),
        }));
    },
  };
}

interface ListPrice {
  readonly personality: string;
  readonly model: string;
  readonly inputUsdPerMillion: string;
  readonly cachedInputUsdPerMillion: string;
  readonly cacheWriteInputUsdPerMillion: string;
  readonly outputUsdPerMillion: string;
}

interface JsonTotal {
  readonly personality: string;
  readonly model: string;
  readonly calls: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly costPicoUsd: string | null;
}
