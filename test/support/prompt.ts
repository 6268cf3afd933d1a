import type { JudgedCall } from "./evidence.ts";

/** A prompt that tells the simulator whose call it is and how to answer it. */
export function promptOf(
  requestId: string,
  { text = "Hello.", scripts = {} }: Pick<JudgedCall, "text" | "scripts">,
): string {
  const directives = Object.entries(scripts).map(
    ([personality, script]) => ` [[sim:${personality} ${JSON.stringify(script)}]]`,
  );
  return `${text} request=${requestId}${directives.join("")}`;
}

/** The request that a text of `promptOf` belongs to. */
export function requestIdIn(text: string): string | undefined {
  return /\brequest=([\w-]{1,36})/.exec(text)?.[1];
}
