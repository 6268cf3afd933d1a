import type { Choice, MessagePart } from "../core/completion.ts";

/** Bytes of text, reasoning and tool arguments in an answer: what an estimate goes by when usage is absent. */
export function countOutputBytes(choices: readonly Choice[]): number {
  let outputBytes = 0;
  for (const { message } of choices) for (const part of message.parts) outputBytes += bytesOf(part);
  return outputBytes;
}

function bytesOf(part: MessagePart): number {
  switch (part.kind) {
    case "text":
    case "reasoning":
    case "refusal":
      return Buffer.byteLength(part.text);
    case "tool_call":
      return Buffer.byteLength(part.argumentsJson);
    default:
      return 0;
  }
}
