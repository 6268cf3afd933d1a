import type { ContextWindows } from "../core/context-windows.ts";
import type { Candidate } from "../core/model-name.ts";

/**
 * Those of the candidates that may take an input which was too long for `refusing`: their window is known to be larger
 * than its own. Where either is unknown the call would most likely be refused again, or silently cut.
 */
export function withLargerContext(
  candidates: readonly Candidate[],
  refusing: Candidate,
  windows: ContextWindows,
): readonly Candidate[] {
  const refusingTokens = windows.of(refusing);
  if (refusingTokens === undefined) return [];
  return candidates.filter((candidate) => (windows.of(candidate) ?? 0) > refusingTokens);
}
