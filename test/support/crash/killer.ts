import type { SpawnedGateway } from "../gateway-process.ts";
import type { KillPoint, Sight } from "./kill-point.ts";

/** Whether the gateway died where it was meant to, or because that never came. */
export type Hit = "hit" | "missed";

/** Kills one gateway at its point. */
export interface Killer {
  /** Tells what was seen. */
  saw(sight: Sight): void;
  /** A point that is not reached within this is missed, and the gateway is killed then. */
  giveUpIn(afterMs: number): void;
  /** Resolves when the gateway is dead. */
  readonly done: Promise<Hit>;
}

/** A stop begins when so many calls were seen, so that some are under way. */
const CALLS_BEFORE_STOP = 15;

/** Arms it. If the gateway dies by itself, the point is missed. */
export function createKiller(gateway: SpawnedGateway, point: KillPoint): Killer {
  let callsBeforeStop = point.phase === "stop" ? CALLS_BEFORE_STOP : 0;
  let left = point.nth;
  let hit: Hit = "missed";
  const timers: NodeJS.Timeout[] = [];
  const kill = (as: Hit) => {
    hit = as;
    gateway.signal("SIGKILL");
  };
  const atPoint = () => {
    if (point.delayMs === 0) kill("hit");
    else timers.push(setTimeout(kill, point.delayMs, "hit"));
  };
  const begin = () => {
    if (point.phase === "stop") gateway.signal("SIGTERM");
    if (point.sight === undefined) atPoint();
  };
  if (callsBeforeStop === 0) begin();
  const done = gateway.exited.then((how) => {
    for (const timer of timers) clearTimeout(timer);
    return how === "SIGKILL" ? hit : "missed";
  });
  return {
    done,
    giveUpIn: (afterMs) => void timers.push(setTimeout(kill, afterMs, "missed")),
    saw(sight) {
      if (callsBeforeStop > 0) {
        if (sight === "call" && --callsBeforeStop === 0) begin();
      } else if (sight === point.sight && --left === 0) atPoint();
    },
  };
}
