import type { BillLine } from "../../simulator/bill.ts";
import type { PersonalityName } from "../../simulator/personalities.ts";
import type { Script } from "../../simulator/script.ts";
import type { CompletionOutcome, GatewayClients } from "./completion-client.ts";

/** What a call was meant to meet. */
export interface JudgedCall {
  /** What its prompt begins with. @default "Hello." */
  readonly text?: string;
  /** What each personality of the simulator does with this request. */
  readonly scripts?: Readonly<Partial<Record<PersonalityName, Script>>>;
  /** The provider completes the answer, but says nothing or nonsense of its usage: the record must be an estimate. */
  readonly usageHidden?: boolean;
  /** The request may be given up before it reached the simulator, which then has no line for it. */
  readonly mayBeLost?: boolean;
}

/** What Law L is judged on: a ledger, the provider's bill for the same calls, and what their callers were told. */
export interface Evidence {
  /** A gateway that can be asked for the ledger. */
  readonly url: string;
  readonly clients: Pick<GatewayClients, "costs">;
  /** The provider's lines for these calls, once it has the last of them. */
  billed(): Promise<readonly BillLine[]>;
  /** The gateway's name of the provider that a line is of. */
  providerOf(line: BillLine): string | undefined;
  readonly outcomes: readonly CompletionOutcome[];
  /** By request id, which is also the `reference` on the bill. */
  readonly calls: ReadonlyMap<string, JudgedCall>;
  /** Judges only the attempts that carry these tags; default all of the ledger. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Judges only the attempts at these providers; default all of the ledger. */
  readonly providers?: readonly string[] | undefined;
  /** The gateway was killed meanwhile: attempts may be orphans, and rows of requests missing. */
  readonly killed?: boolean | undefined;
}

/** What reports and lists of records are asked for. */
export function filterOf({ tags, providers }: Evidence) {
  return { tags: { ...tags }, providers: [...(providers ?? [])] };
}
