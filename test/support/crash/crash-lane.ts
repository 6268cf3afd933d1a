import { mkdirSync, watch } from "node:fs";
import { join } from "node:path";
import type { CallEvent } from "../../../simulator/exchange.ts";
import { type CompletionOutcome, createGatewayClients } from "../completion-client.ts";
import type { Evidence } from "../evidence.ts";
import { type SpawnedGateway, spawnGateway } from "../gateway-process.ts";
import { createCallers, tagsOf } from "./callers.ts";
import type { CrashBench } from "./crash-bench.ts";
import type { KillPoint, Sight } from "./kill-point.ts";
import { createKiller, type Hit, type Killer } from "./killer.ts";
import { startPostgresProxy } from "./postgres-proxy.ts";

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
  /** Keeps callers busy with the running gateway and kills it, at the latest after `giveUpMs` (default 15 s). */
  loadAndKill(kill: number, point: KillPoint, giveUpMs?: number): Promise<Hit>;
  /** Sends a call of a kill once more to the running gateway; its outcome is no evidence. */
  repeat(requestId: string): Promise<CompletionOutcome>;
  /** All calls of one kill, or of all, for the running gateway's ledger. */
  evidence(kill?: number): Evidence;
  /** Ends the running gateway as an operator does; its exit code. */
  stop(): Promise<number | string>;
  /** Kills the running gateway, if it still runs. */
  close(): Promise<void>;
}

/** A point that is not reached under load within this is missed. */
const GIVE_UP_MS = 15_000;
/** The same after a start: what it still had to do when it listened is done by then. */
const GIVE_UP_AFTER_START_MS = 1_000;
const JOURNAL_LOG = "journal.sqlite-wal";
const PEPPER = "a-pepper-of-thirty-two-characters-or-more";

export async function openCrashLane(bench: CrashBench, options: CrashLaneOptions): Promise<CrashLane> {
  const { name, databaseUrl, random } = options;
  const dataDir = join(bench.folder, name);
  mkdirSync(join(dataDir, "journal"), { recursive: true });
  let gateway: SpawnedGateway | undefined;
  let url = "";
  let killer: Killer | undefined;
  const saw = createSights((sight) => killer?.saw(sight));
  const callers = createCallers({ random, onAnswer: saw.answer });
  bench.listen(`${name}-`, saw.call);
  const journal = watch(join(dataDir, "journal"), (_, file) => {
    if (file === JOURNAL_LOG) saw.journalWrite();
  });
  const proxy = databaseUrl === undefined ? undefined : await startPostgresProxy(databaseUrl, saw.ship);
  const env = { ...bench.env, ...(proxy && { DATABASE_URL: proxy.url, KEY_PEPPER: PEPPER }) };
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
      killer = createKiller(starting, point);
      starting.listening.then(
        () => killer?.giveUpIn(GIVE_UP_AFTER_START_MS),
        () => {},
      );
      return await killer.done;
    },
    async loadAndKill(kill, point, giveUpMs = GIVE_UP_MS) {
      if (!gateway) throw new Error("no gateway is running");
      const dead = new AbortController();
      killer = createKiller(gateway, point);
      killer.giveUpIn(giveUpMs);
      const ended = callers.callUntil(dead.signal, { url, prefix: `${name}-${kill}` });
      const hit = await killer.done;
      dead.abort();
      await ended;
      return hit;
    },
    repeat: (requestId) => callers.repeat(url, requestId),
    evidence(kill) {
      const prefix = kill === undefined ? undefined : `${name}-${kill}`;
      return {
        ...callers.told(prefix),
        url,
        clients: createGatewayClients(url),
        billed: () => bench.billedOf(`${prefix ?? name}-`),
        providerOf: ({ personality }) => personality,
        tags: prefix === undefined ? undefined : tagsOf(prefix),
        killed: true,
      };
    },
    async stop() {
      gateway?.signal("SIGTERM");
      return (await gateway?.exited) ?? 0;
    },
    async close() {
      gateway?.signal("SIGKILL");
      journal.close();
      await proxy?.close();
    },
  };
}

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
