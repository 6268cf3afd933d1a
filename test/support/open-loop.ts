import { setTimeout as delay } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { Agent, request } from "undici";
import { ErrorInfoSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import { MODEL } from "./gateway-under-test.ts";

export interface OpenLoopOptions {
  readonly url: string;
  readonly secret: string;
  readonly perSecond: number;
  /** Asked before each call. */
  readonly isOver: () => boolean;
  /** Sent with each call. @default a short one */
  readonly text?: (call: number) => string;
}

/** What the callers were told. */
export interface OpenLoopResult {
  readonly sent: number;
  /** Attempt ids of the calls that succeeded. */
  readonly answered: readonly string[];
  /** How often each reason was given; `none` for an answer without one. */
  readonly failures: Readonly<Record<string, number>>;
  /** Of the calls that succeeded, ascending. */
  readonly latenciesMs: readonly number[];
}

interface Answer {
  readonly attempts?: readonly { readonly attemptId: string }[];
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

/** Calls at a constant rate, however long each takes, and waits for all answers. */
export async function runOpenLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  const { perSecond, isOver, text = () => "Hello." } = options;
  const agent = new Agent({ connections: 128, pipelining: 1 });
  const answered: string[] = [];
  const failures: Record<string, number> = {};
  const latenciesMs: number[] = [];
  const calls: Promise<void>[] = [];

  const call = async (index: number): Promise<void> => {
    const startedAtMs = performance.now();
    const { statusCode, body } = await request(`${options.url}/llmgateway.v1.CompletionService/Complete`, {
      method: "POST",
      dispatcher: agent,
      headers: { "content-type": "application/json", authorization: `Bearer ${options.secret}` },
      body: JSON.stringify({
        model: MODEL,
        messages: [{ role: "ROLE_USER", parts: [{ text: text(index) }] }],
      }),
    });
    const answer = (await body.json()) as Answer;
    const attemptId = answer.attempts?.at(-1)?.attemptId;
    if (statusCode === 200 && attemptId !== undefined) {
      answered.push(attemptId);
      latenciesMs.push(performance.now() - startedAtMs);
      return;
    }
    const reason = reasonOf(answer);
    failures[reason] = (failures[reason] ?? 0) + 1;
  };

  const startedAtMs = performance.now();
  while (!isOver()) {
    const due = ((performance.now() - startedAtMs) / 1_000) * perSecond;
    while (calls.length < due) calls.push(call(calls.length));
    await delay(2);
  }
  await Promise.all(calls);
  await agent.close();
  return { sent: calls.length, answered, failures, latenciesMs: latenciesMs.sort((a, b) => a - b) };
}

function reasonOf({ details }: Answer): string {
  const info = details?.find(({ type }) => type === ErrorInfoSchema.typeName);
  return info ? fromBinary(ErrorInfoSchema, Buffer.from(info.value, "base64")).reason : "none";
}
