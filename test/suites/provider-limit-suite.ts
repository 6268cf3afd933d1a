import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { ProviderError } from "../../src/core/provider-error.ts";
import { CollectingSink, callOf, failureOf, streams } from "../support/provider-calls.ts";
import type { Script } from "../support/scripted-provider.ts";
import type { WireFormat } from "../support/wire-format.ts";
import { providerAt, type SuiteContext } from "./provider-suite.ts";

/** How much later than its limit a call may fail. */
const TOLERANCE_MS = 250;

const hangs: Script = () => {};
/** Begins a stream with the pieces, and leaves it open. */
function begins({ encoding }: WireFormat, ...pieces: string[]): Script {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(pieces.join(""), encoding);
  };
}

/** Limits of time, aborts, back-pressure, and providers that cannot be reached. */
export function describeProviderLimits(context: SuiteContext): void {
  describeTimeouts(context);
  describeAborts(context);
  describeBackPressure(context);
  describeUnreachable(context);
}

function describeTimeouts({ wire, standIn, provider }: SuiteContext): void {
  const { begin, text, empty, end, encoding } = wire;
  const stop = wire.finish(wire.finishReasons.stop);
  const sink = () => new CollectingSink().push;

  it.each([
    ["total", "complete", { totalMs: 80 }, hangs],
    ["total", "stream", { totalMs: 80 }, begins(wire, begin, text("a"))],
    ["first_token", "complete", { firstTokenMs: 80 }, hangs],
    ["first_token", "stream", { firstTokenMs: 80 }, hangs],
    ["first_token", "stream", { firstTokenMs: 80 }, begins(wire, begin, empty)],
    ["idle", "stream", { idleMs: 80 }, begins(wire, begin, text("a"))],
    ["idle", "stream", { idleMs: 80 }, begins(wire, begin, text("a"), stop)],
  ] as const)(
    "keeps the %s limit of a %s call and closes the socket",
    async (timeout, kind, timeouts, script) => {
      standIn().does(script);
      const startedMs = performance.now();
      const call = callOf({ timeouts });
      const error = await failureOf(
        kind === "complete" ? provider().complete(call) : provider().stream(call, sink()),
      );
      expect(error).toMatchObject({
        reason: "PROVIDER_TIMEOUT",
        billing: "maybe_billed",
        metadata: { timeout },
      });
      expect(performance.now() - startedMs).toBeLessThan(80 + TOLERANCE_MS);
      expect((await standIn().onlyRequest.closed) - startedMs).toBeLessThan(80 + TOLERANCE_MS);
    },
  );

  it.each([
    ["first_token", { firstTokenMs: 150 }, begin],
    ["idle", { idleMs: 150 }, begin + text("a")],
  ])(
    "does not let keep-alive comments and empty events put off the %s limit",
    async (timeout, timeouts, begun) => {
      standIn().does(async (response, { closed }) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(begun, encoding);
        let open = true;
        void closed.then(() => {
          open = false;
        });
        while (open) {
          response.write(wire.keepAlive + empty, encoding);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      });
      const startedMs = performance.now();
      const error = await failureOf(provider().stream(callOf({ timeouts }), sink()));
      expect(error.metadata).toEqual({ timeout });
      expect(performance.now() - startedMs).toBeLessThan(150 + TOLERANCE_MS);
    },
  );

  it("does not fail a stream that lasts longer than the idle limit but never pauses that long", async () => {
    standIn().does(async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(begin, encoding);
      for (let i = 0; i < 12; i += 1) {
        response.write(text("x"), encoding);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      response.end(stop + wire.usageEvent(1, 12) + end, encoding);
    });
    const timeouts = { firstTokenMs: 400, idleMs: 400 };
    const streamed = await provider().stream(callOf({ timeouts }), sink());
    expect(streamed.deltas).toBe(12);
  });

  it("sends nothing when no time is left", async () => {
    standIn().does(hangs);
    const error = await failureOf(provider().complete(callOf({ timeouts: { totalMs: 0 } })));
    expect(error).toMatchObject({ reason: "PROVIDER_TIMEOUT", billing: "not_billed" });
    expect(standIn().requests).toHaveLength(0);
  });
}

function describeAborts({ subject, wire, standIn, provider }: SuiteContext): void {
  it("closes the socket at once when a unary call is aborted", async () => {
    standIn().does(hangs);
    const controller = new AbortController();
    const failure = failureOf(provider().complete(callOf({ signal: controller.signal })));
    const { closed } = await standIn().nextRequest();
    const abortedMs = performance.now();
    controller.abort();
    expect(await failure).toMatchObject({ reason: "CANCELLED", billing: "maybe_billed" });
    expect((await closed) - abortedMs).toBeLessThan(100);
  });

  it.runIf(!wire.usageEnds)(
    "says what an aborted stream had received and stated, and keeps the error that the aborter gave",
    async () => {
      const stop = wire.finish(wire.finishReasons.stop);
      standIn().does(begins(wire, wire.begin, wire.text("Grüße"), stop, wire.usageEvent(4, 3)));
      const controller = new AbortController();
      const reason = new ProviderError("DEADLINE_EXCEEDED", "the deadline passed", { billing: "not_billed" });
      const failure = failureOf(
        provider().stream(callOf({ signal: controller.signal }), () => {
          controller.abort(reason);
          return undefined;
        }),
      );
      expect(await failure).toMatchObject({
        reason: "DEADLINE_EXCEEDED",
        message: "the deadline passed",
        billing: "maybe_billed",
        received: { outputBytes: 7, deltas: 1 },
        usage: { kind: "reported", usage: { tokensIn: 4, tokensOut: 3 } },
      });
      await standIn().onlyRequest.closed;
    },
  );

  it("sends nothing when the signal was aborted before", async () => {
    standIn().does(hangs);
    const error = await failureOf(provider().complete(callOf({ signal: AbortSignal.abort() })));
    expect(error).toMatchObject({ reason: "CANCELLED", billing: "not_billed" });
    expect(standIn().requests).toHaveLength(0);
  });

  it("fails running calls when it is closed", async () => {
    standIn().does(hangs);
    const own = providerAt(standIn(), subject);
    const failure = failureOf(own.complete(callOf()));
    await standIn().nextRequest();
    await own.close();
    expect((await failure).billing).toBe("maybe_billed");
    expect(await failureOf(own.complete(callOf()))).toMatchObject({
      reason: "CANCELLED",
      billing: "not_billed",
    });
  });
}

function describeBackPressure({ wire, standIn, provider }: SuiteContext): void {
  const { begin, text, end, encoding } = wire;
  const stop = wire.finish(wire.finishReasons.stop);
  it("reads nothing on from the provider while the sink's promise is open", async () => {
    const frame = text("x".repeat(1_000));
    const frames = 20_000;
    let written = 0;
    standIn().does(async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(begin, encoding);
      for (; written < frames; written += 1) {
        if (!response.write(frame, encoding)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end(stop + wire.usageEvent(1, frames) + end, encoding);
    });
    let received = 0;
    let open: () => void = () => {};
    const blocked = Promise.withResolvers<void>();
    const streamed = provider().stream(callOf({ timeouts: { idleMs: 5_000 } }), (deltas) => {
      received += deltas.length;
      if (received !== deltas.length) return undefined;
      return new Promise((resolve) => {
        open = resolve;
        blocked.resolve();
      });
    });
    await blocked.promise;
    // The kernel's buffers fill up, then the provider can write no more.
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(written).toBeLessThan(frames);
    const receivedWhileBlocked = received;
    open();
    expect((await streamed).deltas).toBe(frames);
    expect(received).toBe(frames);
    expect(receivedWhileBlocked).toBeLessThan(200);
  });

  it("does not count the time of a slow reader as the provider's silence", async () => {
    standIn().does(streams([begin, text("x"), stop, wire.usageEvent(1, 1), end], {}, encoding));
    const call = callOf({ timeouts: { firstTokenMs: 100, idleMs: 100 } });
    const streamed = await provider().stream(call, () => new Promise((resolve) => setTimeout(resolve, 300)));
    expect(streamed.deltas).toBe(1);
  });

  it("closes the socket when the sink fails", async () => {
    standIn().does(begins(wire, begin, text("x")));
    const error = await failureOf(
      provider().stream(callOf(), () => Promise.reject(new Error("reader gone"))),
    );
    expect(error).toMatchObject({ reason: "CANCELLED", billing: "maybe_billed", received: { deltas: 1 } });
    await standIn().onlyRequest.closed;
  });
}

function describeUnreachable({ subject, standIn }: SuiteContext): void {
  describe("that cannot be reached", () => {
    it.each([
      ["a refused connection", () => "http://127.0.0.1:1"],
      // A label of 64 characters is refused by every resolver without asking the network.
      ["an unknown host", () => `http://${"a".repeat(64)}.invalid`],
      ["TLS where the server speaks none", () => standIn().origin.replace("http:", "https:")],
    ])("calls %s unreachable and not billed", async (_name, baseUrl) => {
      const provider = providerAt(standIn(), subject, { baseUrl: baseUrl() });
      for (const call of [
        () => provider.complete(callOf()),
        () => provider.stream(callOf(), () => undefined),
      ]) {
        expect(await failureOf(call())).toMatchObject({
          reason: "PROVIDER_UNREACHABLE",
          billing: "not_billed",
        });
      }
      await provider.close();
    });

    it("keeps the connect limit on a server that accepts but does not shake hands", async () => {
      const silent = createServer(() => {});
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
      const address = silent.address();
      const port = typeof address === "object" ? address?.port : 0;
      const provider = providerAt(standIn(), subject, {
        baseUrl: `https://127.0.0.1:${port}`,
        connectTimeoutMs: 100,
      });
      const startedMs = performance.now();
      expect(await failureOf(provider.complete(callOf()))).toMatchObject({
        reason: "PROVIDER_TIMEOUT",
        billing: "not_billed",
        metadata: { timeout: "connect" },
      });
      expect(performance.now() - startedMs).toBeLessThan(100 + TOLERANCE_MS);
      await provider.close();
      silent.close();
    });

    it("waits for a free socket no longer than the connect limit, and then sends nothing", async () => {
      standIn().does(hangs);
      const provider = providerAt(standIn(), subject, { maxSockets: 1, connectTimeoutMs: 100 });
      const first = failureOf(provider.complete(callOf({ timeouts: { totalMs: 600 } })));
      await standIn().nextRequest();
      expect(await failureOf(provider.complete(callOf()))).toMatchObject({
        reason: "PROVIDER_TIMEOUT",
        billing: "not_billed",
        metadata: { timeout: "connect" },
      });
      await first;
      expect(standIn().requests).toHaveLength(1);
      await provider.close();
    });
  });
}
