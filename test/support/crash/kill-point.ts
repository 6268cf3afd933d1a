/** What a test can see of a gateway from outside, at which it may be killed. */
export const SIGHTS = [
  /** The simulator got a call: its intent is on disk, its outcome is not known. */
  "call",
  /** The simulator wrote a part of a stream. */
  "token",
  /** The simulator put a call on its bill, and has not written the end of the answer. */
  "bill",
  /** A caller got its answer. */
  "answer",
  /** The journal's file was written: intents, checkpoints, outcomes, rows of requests, trims. */
  "journal write",
  /** The journal's file was written for the first time after a bill: often that call's outcome. */
  "outcome write",
  /** A batch is on its way to the database. */
  "ship sent",
  /** The database has committed a batch, the gateway does not know. */
  "ship answered",
  /** The gateway was told that the database has a batch; it is going to trim it. */
  "ship told",
] as const;

export type Sight = (typeof SIGHTS)[number];

/** Whether the gateway is starting, under load, or stopping when it is killed. */
export type Phase = "start" | "load" | "stop";

/**
 * Where a gateway is killed: at the `nth` sight of the phase, or without one at a time. A stop begins with SIGTERM
 * under load.
 */
export interface KillPoint {
  readonly phase: Phase;
  readonly sight: Sight | undefined;
  readonly nth: number;
  /** After that. */
  readonly delayMs: number;
}

/** The count up to which each sight is waited for; some hundred calls a second are under way. */
const MAX_NTH: Readonly<Record<Sight, number>> = {
  call: 40,
  token: 250,
  bill: 35,
  answer: 35,
  "journal write": 80,
  "outcome write": 25,
  "ship sent": 4,
  "ship answered": 4,
  "ship told": 4,
};

const isOfDatabase = (sight: Sight) => sight.startsWith("ship");

export interface KillPlanOptions {
  readonly random: () => number;
  /** Whether batches to the database can be seen. */
  readonly seesDatabase: boolean;
  /** What a start takes on this machine. */
  readonly startMs: number;
}

/** Draws kill points: each sight about as often as any other, one in eight at a time, one in eight during a stop. */
export function createKillPlan({ random, seesDatabase, startMs }: KillPlanOptions) {
  const integer = (below: number) => Math.floor(random() * below);
  const seen = SIGHTS.filter((sight) => seesDatabase || !isOfDatabase(sight));
  const delayMs = () => (random() < 0.5 ? 0 : random() * 5);
  const duringStop = (): KillPoint => {
    if (random() < 0.4) return { phase: "stop", sight: undefined, nth: 1, delayMs: random() * 300 };
    const sights: readonly Sight[] = seesDatabase
      ? ["bill", "journal write", "ship told"]
      : ["bill", "journal write"];
    return { phase: "stop", sight: sights[integer(sights.length)], nth: 1 + integer(4), delayMs: delayMs() };
  };
  return {
    underLoad(): KillPoint {
      const draw = integer(8);
      if (draw === 0) return { phase: "load", sight: undefined, nth: 1, delayMs: 50 + random() * 350 };
      if (draw === 1) return duringStop();
      const sight = seen[integer(seen.length)] ?? "call";
      return { phase: "load", sight, nth: 1 + integer(MAX_NTH[sight]), delayMs: delayMs() };
    },
    /** During a start that has orphans to settle. */
    duringStart(): KillPoint {
      const sights: readonly Sight[] = seesDatabase
        ? ["journal write", "ship sent", "ship answered", "ship told"]
        : ["journal write"];
      if (random() < 0.4) return { phase: "start", sight: undefined, nth: 1, delayMs: random() * startMs };
      const sight = sights[integer(sights.length)] ?? "journal write";
      return {
        phase: "start",
        sight,
        nth: 1 + integer(sight === "journal write" ? 3 : 1),
        delayMs: delayMs(),
      };
    },
  };
}

export type KillPlan = ReturnType<typeof createKillPlan>;

export function describeKillPoint({ phase, sight, nth, delayMs }: KillPoint): string {
  const where = sight === undefined ? "" : ` at ${sight} ${nth}`;
  return `${phase}${where} + ${delayMs.toFixed(1)} ms`;
}
