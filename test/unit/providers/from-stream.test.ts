import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StreamDelta } from "../../../src/core/completion.ts";
import { ProviderError } from "../../../src/core/provider-error.ts";
import { EventStreamDecoder } from "../../../src/providers/event-stream-decoder.ts";
import { createOpenAiChatDialect } from "../../../src/providers/openai-chat/dialect.ts";
import { openaiProfile } from "../../../src/providers/profiles/openai.ts";
import { chunk, DONE, usageChunk } from "../../support/provider-calls.ts";

const newDecoder = () => new EventStreamDecoder(createOpenAiChatDialect(openaiProfile, []));

describe("the decoder of a chat stream", () => {
  it("gives the same deltas however the text is cut into reads", () => {
    const piece = fc.oneof(
      fc
        .string({ unit: "grapheme", minLength: 1 })
        .map((content) => ({ frame: chunk({ content }), content })),
      fc.constantFrom(": keep-alive\n\n", "\n", ":\n").map((frame) => ({ frame, content: "" })),
    );
    fc.assert(
      fc.property(
        fc.array(piece),
        fc.array(fc.nat(), { maxLength: 30 }),
        fc.boolean(),
        (pieces, cuts, crlf) => {
          const frames =
            pieces.map(({ frame }) => frame).join("") + chunk({}, "stop") + usageChunk(1, 2) + DONE;
          const text = crlf ? frames.replaceAll("\n", "\r\n") : frames;
          const bounds = [0, ...cuts.map((cut) => cut % text.length).sort((a, b) => a - b), text.length];
          const decoder = newDecoder();
          const deltas: StreamDelta[] = [];
          for (const [i, bound] of bounds.slice(1).entries())
            deltas.push(...decoder.feed(text.slice(bounds[i], bound)));
          const streamed = deltas.map((delta) => (delta.kind === "text" ? delta.text : "")).join("");
          expect(streamed).toBe(pieces.map(({ content }) => content).join(""));
          expect(decoder.finish()).toMatchObject({
            finishReasons: [{ choiceIndex: 0, finishReason: "stop" }],
            usage: { kind: "reported" },
            outputBytes: Buffer.byteLength(streamed),
            deltas: deltas.length,
          });
        },
      ),
    );
  });

  it("never takes a stream for whole that was cut anywhere before its usage", () => {
    const text =
      chunk({ content: "Hello" }) + chunk({ content: " there" }) + chunk({}, "stop") + usageChunk(1, 2);
    // The last newline only ends the usage event, which is complete without it.
    for (let length = 0; length < text.length - 2; length += 1) {
      const decoder = newDecoder();
      decoder.feed(text.slice(0, length));
      expect(() => decoder.finish(), `cut after ${length} characters`).toThrow();
    }
  });

  it.each([
    ["that is no event", "data: garbage\n\n"],
    ["that is an error", 'data: {"error":{"message":"Oops."}}\n\n'],
  ])(
    "drops what comes in one read with a failure %s, unless something was delivered before",
    (_, failure) => {
      const decoder = newDecoder();
      expect(() => decoder.feed(chunk({ content: "Hi" }) + failure)).toThrow(ProviderError);
      const begun = newDecoder();
      expect(begun.feed(chunk({ content: "Hi" }))).toHaveLength(1);
      expect(begun.feed(chunk({ content: " you" }) + failure + chunk({ content: "!" }))).toEqual([
        { kind: "text", choiceIndex: 0, text: " you" },
      ]);
      expect(begun.done).toBe(true);
      expect(begun.feed(chunk({ content: "!" }))).toEqual([]);
      expect(() => begun.finish()).toThrow(ProviderError);
    },
  );

  it("replaces a lone surrogate, which no other protocol could carry on", () => {
    const decoder = newDecoder();
    expect(decoder.feed('data: {"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}]}\n\n')).toEqual([
      { kind: "text", choiceIndex: 0, text: "a\uFFFD" },
    ]);
  });

  it("counts several choices apart", () => {
    const decoder = newDecoder();
    const of = (index: number, content: string, finishReason: string) =>
      `data: ${JSON.stringify({ choices: [{ index, delta: { content }, finish_reason: finishReason }] })}\n\n`;
    expect(decoder.feed(of(0, "a", "stop") + of(1, "b", "length") + DONE)).toHaveLength(2);
    expect(decoder.finish().finishReasons).toEqual([
      { choiceIndex: 0, finishReason: "stop" },
      { choiceIndex: 1, finishReason: "length" },
    ]);
  });

  it("takes a usage that is stated with every chunk for final only when no output came after it", () => {
    const usage = (tokensOut: number) => ({ prompt_tokens: 7, completion_tokens: tokensOut });
    const counted = (content: string, tokensOut: number) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }], usage: usage(tokensOut) })}\n\n`;
    const decoder = newDecoder();
    decoder.feed(counted("a", 1) + counted("b", 2));
    expect(decoder.seen.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 7, tokensOut: 2 } });
    decoder.feed(chunk({ content: "c" }));
    expect(decoder.seen.usage).toMatchObject({ kind: "so_far", usage: { tokensIn: 7, tokensOut: 2 } });
    decoder.feed(chunk({}, "stop"));
    expect(decoder.seen.usage).toMatchObject({ kind: "so_far" });
    decoder.feed(usageChunk(7, 3) + DONE);
    expect(decoder.finish().usage).toMatchObject({ kind: "reported", usage: { tokensIn: 7, tokensOut: 3 } });
  });

  it("does not take an early usage for the last word of a stream that ends without another", () => {
    const whole = newDecoder();
    whole.feed(usageChunk(7, 0) + chunk({ content: "a" }) + chunk({}, "stop") + DONE);
    expect(whole.finish().usage).toMatchObject({ kind: "so_far", usage: { tokensIn: 7, tokensOut: 0 } });
    const cut = newDecoder();
    cut.feed(usageChunk(7, 0) + chunk({ content: "a" }) + chunk({}, "stop"));
    expect(() => cut.finish()).toThrow("ended early");
  });

  it("ignores what comes after [DONE]", () => {
    const decoder = newDecoder();
    decoder.feed(chunk({ content: "a" }, "stop") + DONE);
    expect(decoder.feed(chunk({ content: "b" }))).toEqual([]);
    expect(decoder.finish().deltas).toBe(1);
  });
});
