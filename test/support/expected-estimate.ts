import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import type { BillLine } from "../../simulator/bill.ts";
import { PERSONALITIES } from "../../simulator/personalities.ts";
import type { Script } from "../../simulator/script.ts";
import * as simulated from "../../simulator/tokens.ts";

/**
 * What an estimate has to be, worked out anew from what the simulator received and sent. An estimate counts tokens of
 * o200k_base; the simulator bills `bytes / 4`. So an estimate is not its bill, but it must be exactly the count of
 * what is on the bill: of the whole input, and of the output as far as it came.
 */

/** Flags of records whose tokens were not counted but made from bytes: those agree with the simulator's own count. */
const BY_BYTES: readonly string[] = ["ESTIMATED_BY_BYTES", "ORPHANED"];

export function isEstimatedByBytes(flags: readonly string[]): boolean {
  return flags.some((flag) => BY_BYTES.includes(flag));
}

/** Tokens of a request of one message: its text, 3 for the message, 3 before the answer. */
export function countedTokensIn(prompt: string): bigint {
  return BigInt(3 + 3 + countTokens(prompt));
}

/**
 * The counts that an estimate may have when the last `unseenTokens` of the bill did not reach the gateway in full, or
 * undefined when the output cannot be worked out from the script (its own text, tool calls). What comes together with
 * the failure is not delivered any more, and counts in proportion to what was.
 */
export function countedTokensOut(
  line: BillLine,
  script: Script,
  missing: { readonly unseenTokens: number; readonly undelivered: boolean },
): readonly bigint[] | undefined {
  const pieces = visiblePieces(line, script);
  if (!pieces) return undefined;
  const counts = new Set<bigint>();
  for (let seen = Math.max(0, pieces.length - missing.unseenTokens); seen <= pieces.length; seen += 1) {
    for (let delivered = missing.undelivered ? 0 : seen; delivered <= seen; delivered += 1) {
      const counted = countTokens(pieces.slice(0, delivered).join(""));
      // All pieces have the same length. A stream has at least a token a delta, and here one delta a token.
      const inAll = delivered === 0 ? 0 : Math.ceil((counted * seen) / delivered);
      counts.add(BigInt(Math.max(inAll, line.stream ? seen : 0)));
    }
  }
  return [...counts];
}

function visiblePieces(line: BillLine, script: Script): readonly string[] | undefined {
  const isOwnText = script.text !== undefined || script.toolCall !== undefined;
  if (isOwnText || script.fault === "splitUtf8") return undefined;
  const text = simulated.textTokens(line.tokensOut - line.reasoningTokens);
  // The others only count their reasoning.
  return PERSONALITIES.find(({ name }) => name === line.personality)?.showsReasoning
    ? [...simulated.reasoningTokens(line.reasoningTokens), ...text]
    : text;
}
