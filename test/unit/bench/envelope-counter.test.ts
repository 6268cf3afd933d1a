import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EnvelopeCounter } from "../../../bench/envelope-counter.ts";

function envelope(flags: number, bytes: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

describe("the counter of messages in a gRPC or Connect stream", () => {
  it("counts every message and keeps the last one, however the bytes are cut", () => {
    const messages = fc.array(fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 })), { minLength: 1 });
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 20 }), (sent, chunkBytes) => {
        const bytes = Buffer.concat(sent.map(([flags, payload]) => envelope(flags, payload)));
        const counter = new EnvelopeCounter();
        for (let at = 0; at < bytes.length; at += chunkBytes)
          counter.push(bytes.subarray(at, at + chunkBytes));
        const [flags, payload] = sent.at(-1) ?? [];
        expect(counter.messages).toBe(sent.length);
        expect(counter.end()?.flags).toBe(flags);
        expect([...(counter.end()?.bytes ?? [])]).toEqual([...(payload ?? [])]);
      }),
    );
  });

  it("has no last message when the stream was cut inside one", () => {
    const counter = new EnvelopeCounter();
    counter.push(envelope(0, Buffer.from("whole")));
    counter.push(envelope(0, Buffer.from("cut")).subarray(0, 6));
    expect(counter.messages).toBe(1);
    expect(counter.end()).toBeUndefined();
  });

  it("has no last message when nothing came", () => {
    expect(new EnvelopeCounter().end()).toBeUndefined();
  });
});
