import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type CompleteRequestSchema,
  CompletionService,
  type StreamCompleteResponse,
} from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import type { BillState } from "../../simulator/bill.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import type { CallOptions, GatewayClient } from "../support/clients/gateway-client.ts";
import { billedPicoUsd, type GatewayUnderTest, MODEL, usd } from "../support/gateway-under-test.ts";
import { describeCompletions } from "./client-completion-suite.ts";
import { describeCosts } from "./client-cost-suite.ts";
import { describeEmbeddings } from "./client-embedding-suite.ts";
import { describeErrors } from "./client-error-suite.ts";
import { describeKeys } from "./client-key-suite.ts";
import { describeProbes } from "./client-probe-suite.ts";
import { describeStreams } from "./client-stream-suite.ts";

type CompleteInit = MessageInitShape<typeof CompleteRequestSchema>;

/** What the parts of the suite work with. Client, gateway and key are there only while tests run. */
export interface ClientSuite {
  readonly canStateTimeouts: boolean;
  readonly client: GatewayClient;
  readonly gateway: GatewayUnderTest;
  /** Of a key that may complete and see its own costs. */
  readonly key: string;
  /** Completes one message of the user; its text is also what the simulator's bill is searched for. */
  complete(text: string, request?: CompleteInit, options?: CallOptions): ReturnType<typeof completeWith>;
  stream(text: string, request?: CompleteInit, options?: CallOptions): AsyncIterable<StreamCompleteResponse>;
}

export interface ClientUnderTest {
  readonly name: string;
  createClient(gateway: GatewayUnderTest): GatewayClient;
  readonly gateway: () => GatewayUnderTest;
  /** The client lets nobody set the timeout headers by hand: what needs that is skipped; its own deadline is tested. */
  readonly reservesTimeoutHeaders?: boolean;
}

/** The suite that every client must pass: the same answers and the same errors from all. */
export function describeClient(subject: ClientUnderTest): void {
  const { gateway } = subject;
  describe(subject.name, () => {
    let client: GatewayClient;
    let key = "";
    beforeAll(async () => {
      client = subject.createClient(gateway());
      key = (await gateway().createKey()).secret;
    });
    afterAll(() => client.close());
    const suite: ClientSuite = {
      canStateTimeouts: !subject.reservesTimeoutHeaders,
      get client() {
        return client;
      },
      get gateway() {
        return gateway();
      },
      get key() {
        return key;
      },
      complete: (text, request, options) =>
        completeWith(client, { ...userMessage(text), ...request } as CompleteInit, { key, ...options }),
      stream: (text, request, options) =>
        client.stream(
          CompletionService.method.streamComplete,
          { request: { ...userMessage(text), ...request } as CompleteInit },
          { key, ...options },
        ),
    };
    describeCompletions(suite);
    describeStreams(suite);
    describeEmbeddings(suite);
    describeErrors(suite);
    describeCosts(suite);
    describeKeys(suite);
    describeProbes(suite);
  });
}

/**
 * The books after everything else in the file: each call that the simulator saw is one attempt on the ledger, in the
 * same state, and what was completed cost the same.
 */
export function describeBooks(gateway: () => GatewayUnderTest): void {
  it("in the end the ledger has an attempt for each call on the provider's bill, at the same cost", async () => {
    const { simulator, url, adminKey } = gateway();
    await simulator.whenIdle();
    const { lines } = simulator.bill;
    const inState = (state: BillState) => lines.filter((line) => line.state === state);
    const priced = inState("completed").filter(({ model }) => !model.startsWith("unpriced-"));
    const client = createFetchClient(url);
    await vi.waitFor(async () => {
      const { message } = await client.unary(CostService.method.costQuery, {}, { key: adminKey });
      const coverage = message.totals?.coverage;
      expect(coverage?.reported).toMatchObject({
        attempts: BigInt(priced.length),
        costUsd: usd(billedPicoUsd(priced)),
      });
      expect(coverage?.unpriced?.attempts).toBe(BigInt(inState("completed").length - priced.length));
      expect(coverage?.notBilled?.attempts).toBe(BigInt(inState("refused").length));
      const interrupted = (coverage?.estimated?.attempts ?? 0n) + (coverage?.unknown?.attempts ?? 0n);
      expect(interrupted).toBe(BigInt(inState("interrupted").length));
    });
  });
}

export function completeWith(client: GatewayClient, request: CompleteInit, options: CallOptions) {
  return client.unary(CompletionService.method.complete, request, options);
}

/** A text that occurs in no other call, with directives for the simulator. */
export function uniquePrompt(...directives: readonly string[]): string {
  return [`prompt ${randomUUID()}`, ...directives].join(" ");
}

export function userMessage(text: string): CompleteInit {
  return { model: MODEL, messages: [{ role: Role.USER, parts: [textPart(text)] }] };
}

export function textPart(text: string) {
  return { content: { case: "text" as const, value: text } };
}
