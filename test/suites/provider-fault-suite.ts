import { describe, expect, it } from "vitest";
import { answersJson, CollectingSink, callOf, failureOf, streams } from "../support/provider-calls.ts";
import type { Script } from "../support/scripted-provider.ts";
import type { SuiteContext } from "./provider-suite.ts";

const HTML =
  "<html><head><title>502 Bad gateway</title></head><body>sk-proj-abcdefgh12345678 your prompt</body></html>";
const BYTES_IN_10_MB = 10_000_000;

/** What a provider may do wrong once it was reached. None of it may pass for success. */
export function describeProviderFaults(context: SuiteContext): void {
  describeBadAnswers(context);
  describeErrorStatuses(context);
  describeCutStreams(context);
  describeUnusualStreams(context);
}

function describeBadAnswers({ wire, standIn, provider }: SuiteContext): void {
  const complete = () => failureOf(provider().complete(callOf()));
  describe("bad unary answers", () => {
    const withBody = (body: string, contentType = "application/json"): Script => {
      return (response) => void response.writeHead(200, { "content-type": contentType }).end(body);
    };
    it.each<[string, Script]>([
      ["an empty body", withBody("")],
      ["truncated JSON", withBody('{"choices":[{"index":0,"mess')],
      ["HTML", withBody(HTML, "text/html")],
      ...Object.entries(wire.badAnswers).map(([name, body]): [string, Script] => [name, answersJson(body)]),
      ["null", withBody("null")],
    ])("answers 200 with %s", async (_name, script) => {
      standIn().does(script);
      const error = await complete();
      expect(error.reason).toBe("PROVIDER_BAD_RESPONSE");
      expect(error.billing).toBe("maybe_billed");
      expect(error.message).not.toContain("Bad gateway");
    });

    it("keeps the usage that a bad answer states, which would be billed again", async () => {
      standIn().does(answersJson(wire.answer([], wire.usage(7, 0))));
      const error = await complete();
      expect(error.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 7, tokensOut: 0 } });
      expect(error).toMatchObject({ retryableOnSameProvider: false, fallsBack: true });
    });

    it("refuses a body above 16 MiB without reading on", async () => {
      const written = { bytes: 0 };
      standIn().does(async (response, { closed }) => {
        response.writeHead(200, { "content-type": "application/json" });
        let isClosed = false;
        void closed.then(() => {
          isClosed = true;
        });
        while (!isClosed && written.bytes < 64 * 1024 * 1024) {
          written.bytes += 64 * 1024;
          if (!response.write(Buffer.alloc(64 * 1024, 0x20))) {
            await Promise.race([closed, new Promise((resolve) => response.once("drain", resolve))]);
          }
        }
      });
      expect((await complete()).reason).toBe("PROVIDER_BAD_RESPONSE");
      await standIn().onlyRequest.closed;
      expect(written.bytes).toBeLessThan(32 * 1024 * 1024);
    });

    it("takes an answer after blank lines, as sent under load", async () => {
      const answer = wire.answer([wire.choice("x", wire.finishReasons.stop)]);
      standIn().does(withBody(`\n\n\n${JSON.stringify(answer)}`, "application/json; charset=utf-8"));
      expect((await provider().complete(callOf())).choices).toHaveLength(1);
    });

    it("calls a connection that breaks after the request was sent a provider error that may be billed", async () => {
      standIn().does((response) => void response.socket?.destroy());
      expect(await complete()).toMatchObject({ reason: "PROVIDER_ERROR", billing: "maybe_billed" });
      expect(standIn().requests).toHaveLength(1);
    });
  });
}

function describeErrorStatuses({ standIn, provider }: SuiteContext): void {
  const complete = () => failureOf(provider().complete(callOf()));
  const stream = (sink = new CollectingSink()) => failureOf(provider().stream(callOf(), sink.push));
  describe("error statuses without a readable body", () => {
    it.each([
      [301, "PROVIDER_BAD_RESPONSE"],
      [307, "PROVIDER_BAD_RESPONSE"],
      [400, "PROVIDER_INVALID_REQUEST"],
      [401, "PROVIDER_AUTHENTICATION"],
      [402, "PROVIDER_QUOTA_EXHAUSTED"],
      [403, "PROVIDER_AUTHENTICATION"],
      [404, "PROVIDER_MODEL_NOT_FOUND"],
      [408, "PROVIDER_ERROR"],
      [413, "PROVIDER_INVALID_REQUEST"],
      [422, "PROVIDER_INVALID_REQUEST"],
      [429, "PROVIDER_RATE_LIMITED"],
      [500, "PROVIDER_ERROR"],
      [502, "PROVIDER_ERROR"],
      [529, "PROVIDER_OVERLOADED"],
    ])("HTTP %i is %s", async (status, reason) => {
      standIn().does(
        (response) => void response.writeHead(status, { "content-type": "text/html" }).end(HTML),
      );
      const error = await complete();
      expect(error).toMatchObject({ reason, providerStatus: status, billing: "not_billed" });
      expect(error.message).not.toContain("Bad gateway");
      expect(error.cause).toContain("Bad gateway");
      expect(error.cause).not.toMatch(/sk-proj|your prompt/);
      expect((await stream()).reason).toBe(reason);
    });

    it.each([300, 301, 302, 304, 307, 308])("HTTP %i would be the same again", async (status) => {
      standIn().does((response) => void response.writeHead(status, { location: "/elsewhere" }).end());
      for (const error of [await complete(), await stream()])
        expect(error).toMatchObject({ retryableOnSameProvider: false, fallsBack: true });
    });

    it("does not wait for an error's body that never ends", async () => {
      standIn().does((response) => {
        response.writeHead(429, { "retry-after": "7" });
        response.write('{"error":');
      });
      const startedMs = performance.now();
      expect(await complete()).toMatchObject({ reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 7_000 });
      expect(performance.now() - startedMs).toBeLessThan(4_000);
    });
  });
}

function describeCutStreams({ wire, standIn, provider }: SuiteContext): void {
  const { begin, text, end, encoding } = wire;
  const stop = wire.finish(wire.finishReasons.stop);
  const sends = (...pieces: string[]) => streams(pieces, {}, encoding);
  const stream = (sink = new CollectingSink()) => failureOf(provider().stream(callOf(), sink.push));
  describe("streams that end too early or wrongly", () => {
    it.each<[string, Script, string]>([
      ["without finish reason, cleanly", sends(begin, text("Hel")), "PROVIDER_STREAM_CUT"],
      [
        "without finish reason, with the terminal event",
        sends(begin, text("Hel"), end),
        "PROVIDER_STREAM_CUT",
      ],
      ["in the middle of an event", sends(begin, text("Hel"), wire.halfEvent), "PROVIDER_STREAM_CUT"],
      ["with nothing at all", sends(), "PROVIDER_BAD_RESPONSE"],
      ["with comments only", sends(": hi\n\n"), "PROVIDER_BAD_RESPONSE"],
      ["with the terminal event only", sends(end), "PROVIDER_BAD_RESPONSE"],
      [
        "after a data line of garbage",
        sends(begin, text("Hel"), wire.garbage, stop, end),
        "PROVIDER_BAD_RESPONSE",
      ],
      [
        "after a line that is no field",
        sends(begin, text("Hel"), "%%garbage%%\n\n", stop, end),
        "PROVIDER_BAD_RESPONSE",
      ],
    ])("ends %s", async (_name, script, reason) => {
      standIn().does(script);
      expect(await stream()).toMatchObject({ reason, billing: "maybe_billed" });
    });

    it.skipIf(wire.anyFinishReason)("ends with an unknown finish reason", async () => {
      standIn().does(sends(begin, text("x"), wire.finish("wat"), end));
      expect(await stream()).toMatchObject({ reason: "PROVIDER_BAD_RESPONSE", billing: "maybe_billed" });
    });

    it.runIf(wire.severalChoices)("ends with only one of two choices finished", async () => {
      const usage = wire.usageEvent(1, 2);
      standIn().does(sends(begin, text("a", 0), text("b", 1), stop, usage, end));
      expect(await stream()).toMatchObject({ reason: "PROVIDER_STREAM_CUT", billing: "maybe_billed" });
    });

    it.runIf(!wire.endsWithoutTerminal)("ends without its terminal event", async () => {
      const usage = wire.usageEnds ? "" : wire.usageEvent(3, 1);
      standIn().does(sends(begin, text("x"), stop, usage));
      expect(await stream()).toMatchObject({ reason: "PROVIDER_STREAM_CUT", billing: "maybe_billed" });
    });

    it.runIf(!wire.usageEnds)(
      "says what was received and what usage was stated before the connection broke",
      async () => {
        standIn().does((response) => {
          response.writeHead(200, { "content-type": "text/event-stream" });
          response.write(begin + text("Grüß") + text("e") + stop + wire.usageEvent(9, 2), encoding);
          setImmediate(() => response.socket?.destroy());
        });
        const sink = new CollectingSink();
        expect(await stream(sink)).toMatchObject({
          reason: "PROVIDER_STREAM_CUT",
          received: { outputBytes: 7, deltas: 2 },
          usage: { kind: "reported", usage: { tokensIn: 9, tokensOut: 2 } },
        });
        expect(sink.text).toBe("Grüße");
      },
    );

    it("refuses a line that is 10 MB too long without holding it", async () => {
      const tooLong = (wire.maxLineBytes ?? 1024 * 1024) + BYTES_IN_10_MB;
      let written = 0;
      standIn().does(async (response, { closed }) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write('data: {"padding":"');
        const gone = closed.then(() => true);
        while (written < tooLong) {
          written += 64 * 1024;
          const drained = response.write("x".repeat(64 * 1024));
          if (drained) continue;
          if (
            await Promise.race([gone, new Promise((resolve) => response.once("drain", () => resolve(false)))])
          )
            return;
        }
      });
      expect((await stream()).reason).toBe("PROVIDER_BAD_RESPONSE");
      await standIn().onlyRequest.closed;
      expect(written).toBeLessThan(tooLong);
    });

    it("refuses 200 with JSON or HTML where a stream was asked for, and reads an error in it", async () => {
      standIn().does((response) => void response.writeHead(200, { "content-type": "text/html" }).end(HTML));
      expect((await stream()).reason).toBe("PROVIDER_BAD_RESPONSE");
      standIn().does(answersJson(wire.quotaError ?? {}));
      const reason = wire.quotaError ? "PROVIDER_QUOTA_EXHAUSTED" : "PROVIDER_BAD_RESPONSE";
      expect((await stream()).reason).toBe(reason);
    });

    it("maps an event that is an error", async () => {
      standIn().does(sends(wire.rateLimitEvent));
      expect((await stream()).reason).toBe("PROVIDER_RATE_LIMITED");
    });
  });
}

function describeUnusualStreams({ wire, standIn, provider }: SuiteContext): void {
  const { begin, text, end, encoding } = wire;
  const stop = wire.finish(wire.finishReasons.stop);
  const sends = (...pieces: string[]) => streams(pieces, {}, encoding);
  describe("streams that are unusual but whole", () => {
    it("puts characters together that were split at every byte", async () => {
      const body = [begin, text("Grüße 👋🏽 "), text("日本"), stop, wire.usageEvent(1, 2), end].join("");
      standIn().does(async (response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const byte of Buffer.from(body, encoding)) {
          response.write(Buffer.of(byte));
          if (byte > 0x7f) await new Promise((resolve) => setImmediate(resolve));
        }
        response.end();
      });
      const sink = new CollectingSink();
      await provider().stream(callOf(), sink.push);
      expect(sink.text).toBe("Grüße 👋🏽 日本");
    });

    it.runIf(wire.endsWithoutTerminal)(
      "accepts a clean end without a terminal event when finish reason and usage came",
      async () => {
        standIn().does(sends(begin, text("x"), stop, wire.usageEvent(3, 1)));
        const streamed = await provider().stream(callOf(), new CollectingSink().push);
        expect(streamed.usage).toMatchObject({ kind: "reported", usage: { tokensIn: 3, tokensOut: 1 } });
      },
    );

    it.runIf(!wire.usageEnds)("says that usage is absent when none came before the end", async () => {
      standIn().does(sends(begin, text("x"), stop, end));
      const streamed = await provider().stream(callOf(), new CollectingSink().push);
      expect(streamed.usage).toEqual({ kind: "absent" });
    });

    it.runIf(encoding === "utf8")(
      "takes CRLF lines, a byte order mark, a missing content type and a last event without a blank line",
      async () => {
        const body = [begin, text("x"), stop, wire.usageEvent(3, 1), end].join("").trimEnd();
        standIn().does((response) => {
          response.writeHead(200).end(`\uFEFF${body.replaceAll("\n", "\r\n")}`);
        });
        const sink = new CollectingSink();
        await provider().stream(callOf(), sink.push);
        expect(sink.text).toBe("x");
      },
    );

    it("pushes all frames of one read as one batch", async () => {
      const frames = Array.from({ length: 30 }, (_, i) => text(`w${i} `)).join("");
      standIn().does(sends(begin + frames + stop + wire.usageEvent(1, 30) + end));
      const sink = new CollectingSink();
      const streamed = await provider().stream(callOf(), sink.push);
      expect(streamed.deltas).toBe(30);
      expect(sink.batches).toHaveLength(1);
    });
  });
}
