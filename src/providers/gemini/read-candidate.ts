import type { StreamDelta } from "../../core/completion.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";

/** One part of an answer that shows something, whole or as a piece of a stream. */
export type AnswerPart =
  | { readonly kind: "text" | "reasoning"; readonly text: string }
  | {
      readonly kind: "tool_call";
      readonly id: string | undefined;
      readonly name: string;
      readonly argumentsJson: string;
    };

/** The parts of a candidate. A function call always comes whole. */
export function readCandidateParts(candidate: JsonObject): readonly AnswerPart[] {
  return readArray(readObject(candidate.content)?.parts).flatMap((wirePart): readonly AnswerPart[] => {
    const part = readObject(wirePart);
    const call = readObject(part?.functionCall);
    if (call) {
      const argumentsJson = JSON.stringify(call.args ?? {});
      return [{ kind: "tool_call", id: readText(call.id), name: readText(call.name) ?? "", argumentsJson }];
    }
    const text = readText(part?.text);
    if (text === undefined) return [];
    return [{ kind: part?.thought === true ? "reasoning" : "text", text }];
  });
}

/** The API does not always name its calls; results are then matched by this name. */
export function toolCallId(toolIndex: number): string {
  return `call_${toolIndex + 1}`;
}

/** The part as a delta; `toolIndex` is that of a call. */
export function toDelta(part: AnswerPart, choiceIndex: number, toolIndex: number): StreamDelta {
  if (part.kind !== "tool_call") return { kind: part.kind, choiceIndex, text: part.text };
  const { name, argumentsJson, id = toolCallId(toolIndex) } = part;
  return { kind: "tool_call", choiceIndex, toolIndex, id, name, argumentsDelta: argumentsJson };
}

/** Why the prompt was blocked, if it was. */
export function readBlockReason(body: JsonObject): string | undefined {
  return readText(readObject(body.promptFeedback)?.blockReason);
}
