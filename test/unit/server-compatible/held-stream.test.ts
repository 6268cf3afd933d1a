import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { StreamDelta } from "../../../src/core/completion.ts";
import { createHeldBytes } from "../../../src/server/compatible/held-bytes.ts";
import { HeldStream, MAX_HELD_BYTES } from "../../../src/server/compatible/held-stream.ts";
import { CollectingCompletionSink } from "../../support/gateway-harness.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

class PatientReader extends CollectingCompletionSink {
  keepAlive(): void {
    this.events.push("keep-alive");
  }
}

function setUp(maxBytes?: number, ofProcess = createHeldBytes({ max: 2 * MAX_HELD_BYTES })) {
  const reader = new PatientReader();
  return { reader, held: new HeldStream(reader, ofProcess, maxBytes) };
}

const text = (words: string): readonly StreamDelta[] => [{ kind: "text", choiceIndex: 0, text: words }];

describe("a held stream", () => {
  it("of a call that did not ask for it passes everything on at once", () => {
    const { reader, held } = setUp();
    held.started("openai", "gpt");
    void held.deltas(text("a"));
    expect(reader.events).toEqual(["started openai/gpt", "a"]);
    expect(held.possible).toBe(false);
    vi.advanceTimersByTime(100_000);
    void held.release();
    expect(reader.events).toEqual(["started openai/gpt", "a"]);
  });

  it("says nothing but that it lives until it is whole, and then all of it", () => {
    const { reader, held } = setUp();
    held.expected();
    held.started("openai", "gpt");
    void held.deltas(text("a"));
    vi.advanceTimersByTime(25_000);
    void held.deltas(text("b"));
    expect(reader.events).toEqual(["keep-alive", "keep-alive"]);
    void held.release();
    expect(reader.events.slice(2)).toEqual(["started openai/gpt", "a", "b"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("forgets what came before a restart", () => {
    const { reader, held } = setUp();
    held.expected();
    held.started("openai", "gpt");
    void held.deltas(text("half "));
    expect(held.possible).toBe(true);
    held.restarted("deepseek", "flash");
    void held.deltas(text("whole"));
    void held.release();
    expect(reader.events).toEqual(["started deepseek/flash", "whole"]);
  });

  it("is let go once it is too large, and then nothing can be taken back", () => {
    const { reader, held } = setUp();
    held.expected();
    held.started("openai", "gpt");
    const piece = "x".repeat(MAX_HELD_BYTES / 4);
    for (let count = 0; count < 3; count += 1) void held.deltas(text(piece));
    expect([held.possible, reader.events]).toEqual([true, []]);
    void held.deltas(text(piece));
    expect(held.possible).toBe(false);
    void held.deltas(text("more"));
    void held.release();
    expect(reader.events.map(({ length }) => length)).toEqual([
      18,
      ...[1, 2, 3, 4].map(() => piece.length),
      4,
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("counts what every delta takes, also of those without text", () => {
    const { held } = setUp(1_000);
    held.expected();
    held.started("openai", "gpt");
    for (let count = 0; count < 20; count += 1) void held.deltas(text(""));
    expect(held.possible).toBe(false);
  });

  it("makes a writer wait for a reader that is slow once it is let go", async () => {
    const { reader, held } = setUp(10);
    vi.spyOn(reader, "deltas").mockReturnValue(Promise.resolve());
    held.expected();
    held.started("openai", "gpt");
    await expect(held.deltas(text("x".repeat(20)))).resolves.toBeUndefined();
  });

  it("that fails is discarded, and nobody is kept alive for it", () => {
    const { reader, held } = setUp();
    held.expected();
    held.started("openai", "gpt");
    void held.deltas(text("half"));
    held.discard();
    vi.advanceTimersByTime(100_000);
    expect(reader.events).toEqual([]);
  });
});

describe("held streams of one process", () => {
  const MAX = 1_000;
  /** With what a delta takes by itself. */
  const PIECE = text("x".repeat(336));
  const PIECE_BYTES = 400;

  function setUpTwo() {
    const ofProcess = createHeldBytes({ max: MAX });
    const both = [setUp(undefined, ofProcess), setUp(undefined, ofProcess)] as const;
    for (const { held } of both) {
      held.expected();
      held.started("openai", "gpt");
    }
    const [one, other] = both;
    return { ofProcess, one, other };
  }

  it("share its room: one that finds none left is passed on, and begins anew no more", () => {
    const { ofProcess, one, other } = setUpTwo();
    void one.held.deltas(PIECE);
    void other.held.deltas(PIECE);
    expect(ofProcess.current).toBe(2 * PIECE_BYTES);
    void other.held.deltas(PIECE);
    expect(other.reader.events).toHaveLength(3);
    expect([one.held.possible, other.held.possible]).toEqual([true, false]);
    // What it took is there for others.
    expect(ofProcess.current).toBe(PIECE_BYTES);
    void other.held.deltas(PIECE);
    void one.held.deltas(PIECE);
    expect(ofProcess.current).toBe(2 * PIECE_BYTES);
    expect(one.reader.events).toEqual([]);
  });

  it.each<[string, (held: HeldStream) => void]>([
    ["is whole", (held) => void held.release()],
    ["fails", (held) => void held.discard()],
    ["fails after it was whole", (held) => void [held.release(), held.discard()]],
    ["is too large by itself", (held) => void held.deltas(text("x".repeat(MAX_HELD_BYTES)))],
    ["finds no room", (held) => void held.deltas(text("x".repeat(MAX)))],
    ["begins anew", (held) => held.restarted("deepseek", "flash")],
  ])("give back what one of them took, and no more, when it %s", (_, end) => {
    const { ofProcess, one, other } = setUpTwo();
    void one.held.deltas(PIECE);
    void other.held.deltas(PIECE);
    end(one.held);
    expect(ofProcess.current).toBe(PIECE_BYTES);
    one.held.discard();
    expect(ofProcess.current).toBe(PIECE_BYTES);
    other.held.discard();
    expect(ofProcess.current).toBe(0);
  });

  it("take all of the room to the last byte", () => {
    const ofProcess = createHeldBytes({ max: 2 * PIECE_BYTES });
    const { held } = setUp(undefined, ofProcess);
    held.expected();
    for (const piece of [PIECE, PIECE]) void held.deltas(piece);
    expect([held.possible, ofProcess.current]).toEqual([true, 2 * PIECE_BYTES]);
    expect(() => ofProcess.giveBack(2 * PIECE_BYTES + 1)).toThrow(RangeError);
  });
});
