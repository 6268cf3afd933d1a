import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectWire, envelope, type WireClient } from "../../support/grpc-wire.ts";

const COMPLETE = "/llmgateway.v1.CompletionService/Complete";
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

let child: ChildProcess;
let wire: WireClient;
let http1Url: string;

beforeAll(async () => {
  const path = new URL("../../support/rpc-server-process.ts", import.meta.url).pathname;
  child = fork(path, { execArgv: [] });
  const [urls] = (await once(child, "message")) as [{ http1Url: string; http2Url: string }];
  wire = connectWire(urls.http2Url);
  http1Url = urls.http1Url;
});
afterAll(() => {
  wire.close();
  child.kill();
});

async function peakBytes(): Promise<number> {
  const answered = once(child, "message");
  child.send("peak");
  const [answer] = (await answered) as [{ peakBytes: number }];
  return answer.peakBytes;
}

/** 300 MB that fit into 292 kB. */
const bomb = gzipSync(Buffer.alloc(300_000_000));

const floods: readonly [string, () => Promise<void>][] = [
  [
    "twenty lengths of 4 GiB",
    async () => {
      for (let call = 0; call < 20; call += 1) {
        const answer = await wire.call(COMPLETE, envelope(Buffer.alloc(1000), 0, 0xffff_ffff));
        expect(answer.grpcStatus).toBe(Code.ResourceExhausted);
      }
    },
  ],
  [
    "three gzip bombs by gRPC",
    async () => {
      for (let call = 0; call < 3; call += 1) {
        const answer = await wire.call(COMPLETE, envelope(bomb, 1), { "grpc-encoding": "gzip" });
        expect(answer.grpcStatus).toBe(Code.ResourceExhausted);
      }
    },
  ],
  [
    "three gzip bombs by JSON",
    async () => {
      for (let call = 0; call < 3; call += 1) {
        const response = await fetch(http1Url + COMPLETE, {
          method: "POST",
          headers: { "content-type": "application/json", "content-encoding": "gzip" },
          body: new Uint8Array(bomb),
        });
        expect(response.status).toBe(429);
      }
    },
  ],
];

test.each(floods)("%s take less than 32 MB", async (_name, flood) => {
  // The first calls load and compile code; what counts is what the flood itself takes.
  await wire.call(COMPLETE, envelope(gzipSync(Buffer.alloc(1000)), 1), { "grpc-encoding": "gzip" });
  await flood();
  await peakBytes();
  await wire.call(COMPLETE, envelope(Buffer.alloc(10)));
  const before = await peakBytes();
  await flood();
  expect((await peakBytes()) - before).toBeLessThan(MAX_GROWTH_BYTES);
});
