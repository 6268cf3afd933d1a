import type { Candidate } from "./model-name.ts";

/** How much a model takes. Synchronous and in memory. */
export interface ContextWindows {
  /** Tokens of input and output together; undefined when nobody says. */
  of(candidate: Candidate): number | undefined;
}
