import { Worker } from "node:worker_threads";
import type { TokenCounts, TokenizerQuestion, TokenizerReply } from "./tokenizer-worker.ts";

/** A real tokenizer (o200k_base) in a thread of its own, so that no count holds up the event loop. */
export interface Tokenizer {
  /** Starts the thread if there is none; returns at once. Loading takes some 150 ms of another core and 90 MB. */
  warmUp(): void;
  /**
   * Tokens of each text. Undefined when that takes longer than `maxWaitMs`, loading included, when too many wait
   * already, or when the thread fails: then it must be done without. Never rejects.
   */
  count(texts: readonly string[], maxWaitMs: number): Promise<TokenCounts>;
  /** Ends the thread; what waits is given up. */
  close(): Promise<void>;
}

/** Counts that may wait. At half a millisecond each, those behind would be too late anyway. */
const MAX_WAITING = 500;
/**
 * One message to the thread carries what waits, up to here: when a thousand streams are cut at once the event loop is
 * the bottleneck. Characters are bounded so that those who wait for the next message get their turn in time.
 */
const MAX_CHARACTERS_AT_ONCE = 128 * 1024;

interface Job {
  readonly texts: readonly string[];
  /** Only the first call counts. */
  readonly resolve: (tokens: TokenCounts) => void;
  over: boolean;
}

/** A thread that ended is not started again before: one that cannot be loaded must not be tried for every count. */
const RESTART_PAUSE_MS = 5_000;

const THREAD = new URL("./tokenizer-worker.ts", import.meta.url);

/** Nothing is loaded before the first `warmUp` or `count`; a thread that ended is started again by a later one. */
export function createTokenizer(
  options: {
    /** The module that counts; a test may have one that does not. */
    readonly thread?: URL;
  } = {},
): Tokenizer {
  let worker: Worker | undefined;
  let ready = false;
  let closed = false;
  let startableFromMs = 0;
  let counting: readonly Job[] = [];
  let waiting: Job[] = [];

  function start(): Worker {
    const started = new Worker(options.thread ?? THREAD, {
      execArgv: [],
      name: "tokenizer",
      // Counting leaves much short-lived garbage: by default 117 MB of RSS after some use, so 87.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    // It keeps no process alive.
    started.unref();
    started.on("message", (reply: TokenizerReply) => {
      if (reply.kind === "ready") ready = true;
      else {
        for (const [index, job] of counting.entries()) job.resolve(reply.counts[index]);
        counting = [];
      }
      next();
    });
    const onEnd = () => {
      if (worker !== started) return;
      worker = undefined;
      ready = false;
      startableFromMs = performance.now() + RESTART_PAUSE_MS;
      for (const job of [...counting, ...waiting]) job.resolve(undefined);
      counting = [];
      waiting = [];
    };
    started.on("error", onEnd);
    started.on("exit", onEnd);
    return started;
  }

  /** One message at a time, so that what nobody waits for any more is never counted. */
  function next(): void {
    if (!ready || counting.length > 0) return;
    waiting = waiting.filter((job) => !job.over);
    let characters = 0;
    const jobs = waiting.findIndex(({ texts }) => {
      characters += texts.reduce((sum, text) => sum + text.length, 0);
      return characters > MAX_CHARACTERS_AT_ONCE;
    });
    // The first goes whatever its size.
    counting = waiting.splice(0, jobs < 0 ? waiting.length : Math.max(1, jobs));
    if (counting.length === 0) return;
    worker?.postMessage(counting.map(({ texts }) => texts) satisfies TokenizerQuestion);
  }

  function warmUp(): void {
    if (!closed && performance.now() >= startableFromMs) worker ??= start();
  }

  return {
    warmUp,
    count(texts, maxWaitMs) {
      warmUp();
      if (closed || !worker || waiting.length >= MAX_WAITING) return Promise.resolve(undefined);
      return new Promise((done) => {
        const timer = setTimeout(() => job.resolve(undefined), maxWaitMs);
        const job: Job = {
          texts,
          over: false,
          resolve(tokens) {
            if (job.over) return;
            job.over = true;
            clearTimeout(timer);
            done(tokens);
          },
        };
        waiting.push(job);
        next();
      });
    },
    async close() {
      closed = true;
      await worker?.terminate();
    },
  };
}
