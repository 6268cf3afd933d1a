import type { StreamDelta } from "../core/completion.ts";
import type { CompletionSink } from "../core/gateway.ts";
import type { Delivered } from "../core/replay.ts";

/** Passes a stream on, and remembers what it delivers for the repetitions of the call. */
export interface DeliveryRecorder extends CompletionSink {
  /** Undefined when nothing was delivered; `too_large` when it was more than is remembered. */
  delivered(): Delivered | "too_large" | undefined;
}

/** About what a piece takes besides its text. */
const PIECE_BYTES = 64;

/** Joins the deltas as they come, to as few as tell the same; keeps nothing once they exceed `maxBytes`. */
export function createDeliveryRecorder(sink: CompletionSink, maxBytes: number): DeliveryRecorder {
  let candidate: { readonly provider: string; readonly model: string } | undefined;
  let pieces: StreamDelta[] = [];
  let bytes = 0;

  const keep = (delta: StreamDelta): void => {
    bytes += textOf(delta).length;
    const last = pieces.at(-1);
    if (last && continues(last, delta)) {
      pieces[pieces.length - 1] = withText(last, textOf(last) + textOf(delta));
    } else {
      bytes += PIECE_BYTES;
      pieces.push(delta);
    }
  };

  const { recovery } = sink;
  return {
    recovery: recovery && {
      expected: () => recovery.expected(),
      get possible() {
        return recovery.possible;
      },
      restarted(provider, model, reason) {
        candidate = { provider, model };
        pieces = [];
        bytes = 0;
        recovery.restarted(provider, model, reason);
      },
    },
    started(provider, model, replayed) {
      candidate = { provider, model };
      sink.started(provider, model, replayed);
    },
    deltas(deltas, native) {
      if (bytes <= maxBytes) for (const delta of deltas) keep(delta);
      if (bytes > maxBytes) pieces = [];
      return sink.deltas(deltas, native);
    },
    delivered() {
      if (bytes > maxBytes) return "too_large";
      return candidate && { ...candidate, deltas: pieces };
    },
  };
}

function textOf(delta: StreamDelta): string {
  return delta.kind === "tool_call" ? delta.argumentsDelta : delta.text;
}

function withText(delta: StreamDelta, text: string): StreamDelta {
  return delta.kind === "tool_call" ? { ...delta, argumentsDelta: text } : { ...delta, text };
}

/** A tool call's first delta has its id and name; those that follow have neither. */
function continues(last: StreamDelta, next: StreamDelta): boolean {
  if (last.kind !== next.kind || last.choiceIndex !== next.choiceIndex) return false;
  if (last.kind !== "tool_call" || next.kind !== "tool_call") return true;
  return last.toolIndex === next.toolIndex && !next.id && !next.name;
}
