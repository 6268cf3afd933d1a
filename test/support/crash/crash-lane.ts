import { type FSWatcher, mkdirSync, watch } from "node:fs";
import { join } from "node:path";
import type { CallEvent } from "../../../simulator/exchange.ts";
import { CALL_KINDS, type CompletionOutcome, createGatewayClients } from "../completion-client.ts";
import type { Evidence } from "../evidence.ts";
import { ADMIN_KEY, type SpawnedGateway, spawnGateway } from "../gateway-process.ts";
import { promptOf } from "../prompt.ts";
import type { CrashBench } from "./crash-bench.ts";
import type { KillPoint, Sight } from "./kill-point.ts";
import { createKiller, type Hit, type Killer } from "./killer.ts";
import { type PostgresProxy, startPostgresProxy } from "./postgres-proxy.ts";
import { createRandomCalls, type RandomCall } from "./random-calls.ts";

export interface CrashLaneOptions {
  /** No hyphen in it. */
  readonly name: string;
  /** Default: the embedded database. */
  readonly databaseUrl?: string | undefined;
  readonly random: () => number;
}

/** One data directory, and the gateways that live and die on it one after the other. */
export interface CrashLane {
  readonly name: string;
  /** Starts a gateway and waits until it listens. Resolves to the milliseconds that it took. */
  start(): Promise<number>;
  /** Starts a gateway and kills it on the way. */
  startAndKill(point: KillPoint): Promise<Hit>;
  /** Keeps callers busy with the running gateway and kills it, at the latest after `giveUpMs` (default 2 s). */
  loadAndKill(kill: number, point: KillPoint, giveUpMs?: number): Promise<Hit>;
  /** Sends a call of a kill once more to the running gateway; its outcome is no evidence. */
  repeat(kill: number, requestId: string): Promise<CompletionOutcome>;
  /** All calls of one kill, or of all, for the running gateway's ledger. */
  evidence(kill?: number): Evidence;
  /** Ends the running gateway as an operator does; its exit code. */
  stop(): Promise<number | string>;
  close(): Promise<void>;
}

const CALLERS = 10;
const GIVE_UP_MS = 2_000;
const JOURNAL_LOG = "journal.sqlite-wal";
const PEPPER = "a-pepper-of-thirty-two-characters-or-more";

interface Told {
  readonly outcomes: CompletionOutcome[];
  readonly calls: Map<string, RandomCall>;
}

export async function openCrashLane(bench: CrashBench, options: CrashLaneOptions): Promise<CrashLane> {
  const { name, databaseUrl } = options;
  const dataDir = join(bench.folder, name);
  mkdirSync(join(dataDir, "journal"), { recursive: true });
  const told = new Map<number, Told>();
  const randomCall = createRandomCalls(options.random);
  let gateway: SpawnedGateway | undefined;
  let url = "";
  let killer: Killer | undefined;
  const saw = createSights((sight) => killer?.saw(sight));

  bench.listen(`${name}-`, saw.call);
  const journal: FSWatcher = watch(join(dataDir, "journal"), (_, file) => {
    if (file === JOURNAL_LOG) saw.journalWrite();
  });
  const proxy: PostgresProxy | undefined =
    databaseUrl === undefined ? undefined : await startPostgresProxy(databaseUrl, saw.ship);
  const env = {
    ...bench.env,
    ...(proxy && { DATABASE_URL: proxy.url, KEY_PEPPER: PEPPER }),
  };

  const requestOf = (kill: number, requestId: string, call: RandomCall) => ({
    ...{ ...call, requestId, text: promptOf(requestId, call) },
    ...{ tags: tagsOf(name, kill), secret: ADMIN_KEY },
  });

  async function callUntil(dead: AbortSignal, kill: number, { outcomes, calls }: Told): Promise<void> {
    const clients = createGatewayClients(url);
    const caller = async (index: number) => {
      const kind = CALL_KINDS[index % CALL_KINDS.length] ?? "unary";
      while (!dead.aborted) {
        const requestId = `${name}-${kill}-${calls.size}`;
        const call = randomCall(kind);
        calls.set(requestId, call);
        const outcome = await clients.complete(requestOf(kill, requestId, call));
        outcomes.push(outcome);
        if (outcome.reason === undefined) saw.answer();
        // Nobody answered: it is dying, and to ask on would only take the machine.
        else if (outcome.error?.details.length === 0) return;
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, (_, index) => caller(index)));
  }

  return {
    name,
    async start() {
      const startedAtMs = performance.now();
      gateway = spawnGateway({ env, dataDir });
      url = `http://127.0.0.1:${await gateway.listening}`;
      return performance.now() - startedAtMs;
    },
    async startAndKill(point) {
      const starting = spawnGateway({ env, dataDir });
      killer = createKiller(starting, point, GIVE_UP_MS);
      return await killer.done;
    },
    async loadAndKill(kill, point, giveUpMs = GIVE_UP_MS) {
      if (!gateway) throw new Error("no gateway is running");
      const calls: Told = { outcomes: [], calls: new Map() };
      told.set(kill, calls);
      const dead = new AbortController();
      killer = createKiller(gateway, point, giveUpMs);
      const ended = callUntil(dead.signal, kill, calls);
      const hit = await killer.done;
      dead.abort();
      await ended;
      return hit;
    },
    evidence(kill) {
      const all =
        kill === undefined ? [...told.values()] : [told.get(kill)].filter((one) => one !== undefined);
      return {
        url,
        clients: createGatewayClients(url),
        billed: () => bench.billedOf(kill === undefined ? `${name}-` : `${name}-${kill}-`),
        providerOf: ({ personality }) => personality,
        outcomes: all.flatMap(({ outcomes }) => outcomes),
        calls: new Map(all.flatMap(({ calls }) => [...calls])),
        tags: kill === undefined ? undefined : tagsOf(name, kill),
        killed: true,
      };
    },
    async repeat(kill, requestId) {
      const call = told.get(kill)?.calls.get(requestId);
      if (!call) throw new Error(`no call ${requestId}`);
      return await createGatewayClients(url).complete(requestOf(kill, requestId, call));
    },
    async stop() {
      gateway?.signal("SIGTERM");
      return (await gateway?.exited) ?? 0;
    },
    async close() {
      journal.close();
      await proxy?.close();
    },
  };
}

const tagsOf = (lane: string, kill: number) => ({ kill: `${lane}-${kill}` });

/** What is seen from outside, translated into sights. */
function createSights(see: (sight: Sight) => void) {
  let billedSinceWrite = false;
  const SIGHT_OF = { arrived: "call", written: "token", billed: "bill" } as const;
  return {
    call({ kind }: CallEvent) {
      if (kind === "billed") billedSinceWrite = true;
      see(SIGHT_OF[kind]);
    },
    answer: () => see("answer"),
    journalWrite() {
      if (billedSinceWrite) see("outcome write");
      billedSinceWrite = false;
      see("journal write");
    },
    ship: (step: "sent" | "answered" | "told") => see(`ship ${step}`),
  };
}
