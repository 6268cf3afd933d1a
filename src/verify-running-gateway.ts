import { z } from "zod";
import type { LedgerVerification, VerifiedInterval } from "./core/ledger-check.ts";

const count = z.string().regex(/^\d+$/).default("0").transform(BigInt);
const instant = z.iso.datetime().transform((text) => new Date(text));

/** `VerifyLedgerResponse` as protobuf JSON, which leaves out what is empty. */
const ANSWER = z.object({
  ok: z.boolean().default(false),
  checks: z
    .array(z.object({ name: z.string(), compared: count, differing: count, noted: count }))
    .default([]),
  differences: z
    .array(
      z.object({
        check: z.string(),
        key: z.string().default(""),
        expected: z.string().default(""),
        found: z.string().default(""),
      }),
    )
    .default([]),
  startTime: instant,
  endTime: instant,
});

/**
 * Asks a running gateway to check its books.
 * @throws Error with what it answered when it does not
 */
export async function verifyRunningGateway(
  url: string,
  key: string,
  { start, end }: VerifiedInterval,
  timeoutMs: number,
): Promise<LedgerVerification> {
  const response = await fetch(new URL("/llmgateway.v1.CostService/VerifyLedger", url), {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      "connect-timeout-ms": String(timeoutMs),
    },
    body: JSON.stringify({ startTime: start, endTime: end }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`the gateway answered ${response.status}: ${text.slice(0, 500)}`);
  const { startTime, endTime, ...verification } = ANSWER.parse(JSON.parse(text));
  return { ...verification, start: startTime, end: endTime };
}
