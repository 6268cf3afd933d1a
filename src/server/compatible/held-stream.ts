import type { StreamDelta } from "../../core/completion.ts";
import type { CompletionSink, SinkRecovery } from "../../core/gateway.ts";
import type { HeldBytes } from "./held-bytes.ts";

/** Of the text of one answer; what is longer is sent as it comes, and cannot be taken back any more. */
export const MAX_HELD_BYTES: number = 4 * 1024 * 1024;
/** About what a delta takes besides its text. */
const DELTA_BYTES = 64;
/** Proxies close what says nothing, many after a minute, some after half of one. */
const KEEP_ALIVE_INTERVAL_MS = 10_000;

/** A sink whose reader can be told that there is still somebody at the other end. */
export interface PatientSink extends CompletionSink {
  keepAlive(): void;
}

interface Held {
  readonly deltas: readonly StreamDelta[];
  readonly native: string | undefined;
}

/**
 * Gives recovery to an API that has no word for "discard what came before": of a call that asked for it nothing is passed on
 * until the answer is whole, so that it can be taken back. All other calls it passes on as they come, and what is too large
 * to be held, by itself or beside what the process holds already.
 *
 * Whoever made it ends it with `release` or `discard`, which give back its part of the process's room.
 */
export class HeldStream implements CompletionSink, SinkRecovery {
  readonly #sink: PatientSink;
  readonly #ofProcess: HeldBytes;
  readonly #maxBytes: number;
  #held: Held[] | undefined;
  #bytes = 0;
  #origin: { readonly provider: string; readonly model: string } | undefined;
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(sink: PatientSink, ofProcess: HeldBytes, maxBytes: number = MAX_HELD_BYTES) {
    this.#sink = sink;
    this.#ofProcess = ofProcess;
    this.#maxBytes = maxBytes;
  }

  get recovery(): SinkRecovery {
    return this;
  }

  expected(): void {
    this.#held = [];
  }

  get possible(): boolean {
    return this.#held !== undefined;
  }

  started(provider: string, model: string, replayed?: boolean): void {
    if (!this.#held) {
      this.#sink.started(provider, model, replayed);
      return;
    }
    this.#origin = { provider, model };
    this.#keepAlive = setInterval(() => this.#sink.keepAlive(), KEEP_ALIVE_INTERVAL_MS);
  }

  restarted(provider: string, model: string): void {
    this.#held = [];
    this.#giveBack();
    this.#origin = { provider, model };
  }

  deltas(deltas: readonly StreamDelta[], native?: string): Promise<void> | undefined {
    if (!this.#held) return this.#sink.deltas(deltas, native);
    this.#held.push({ deltas, native });
    const bytes = bytesOf(deltas, native);
    if (this.#bytes + bytes > this.#maxBytes || !this.#ofProcess.tryTake(bytes)) return this.release();
    this.#bytes += bytes;
    return undefined;
  }

  /** Passes on what is held, and from here on everything at once. */
  release(): Promise<void> | undefined {
    if (!this.#held) return undefined;
    const held = this.discard();
    if (this.#origin) this.#sink.started(this.#origin.provider, this.#origin.model);
    let taken: Promise<void> | undefined;
    for (const { deltas, native } of held) taken = this.#sink.deltas(deltas, native);
    return taken;
  }

  /** Ends the holding back; what was held is forgotten. */
  discard(): readonly Held[] {
    clearInterval(this.#keepAlive);
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#giveBack();
    return held;
  }

  #giveBack(): void {
    this.#ofProcess.giveBack(this.#bytes);
    this.#bytes = 0;
  }
}

function bytesOf(deltas: readonly StreamDelta[], native: string | undefined): number {
  let bytes = native?.length ?? 0;
  for (const delta of deltas) bytes += DELTA_BYTES + textOf(delta).length;
  return bytes;
}

function textOf(delta: StreamDelta): string {
  return delta.kind === "tool_call" ? delta.argumentsDelta : delta.text;
}
