import type { StreamDelta } from "../../core/completion.ts";
import type { StreamResult } from "../../core/gateway.ts";
import { type StreamWriter, withFacts } from "../compatible/completion-format.ts";
import { ChunkWriter } from "./chat-answer.ts";

const DONE = "data: [DONE]\n\n";
/** A line break cannot be within JSON text: this is the last member of the event's object. */
const EMPTY_USAGE_AT_END = ',"usage":null}\n\n';
const OBJECT_END = "}\n\n";

/** The chunks of one chat completion. After an error `[DONE]` is missing. */
export class ChatStreamWriter implements StreamWriter {
  readonly #requestId: string;
  readonly #includeUsage: boolean;
  #model = "";
  #chunks: ChunkWriter | undefined;

  constructor(requestId: string, includeUsage: boolean) {
    this.#requestId = requestId;
    this.#includeUsage = includeUsage;
  }

  started(model: string): void {
    this.#model = model;
  }

  deltas(deltas: readonly StreamDelta[]): string {
    return this.#translated().deltas(deltas);
  }

  /** The gateway asks for the usage of every stream, and OpenAI then puts an empty one into each event. */
  relay(events: string): string {
    return this.#includeUsage ? events : events.replaceAll(EMPTY_USAGE_AT_END, OBJECT_END);
  }

  end(result: StreamResult, factsJson: string): string {
    const { native } = result;
    const rest = native ? this.relay(native.tail) : this.#translated().finish(result);
    const usageJson = native ? native.usageJson : this.#chunks?.usageJson(result);
    const last =
      this.#includeUsage && usageJson !== undefined
        ? `data: ${withFacts(usageJson, factsJson)}\n\n`
        : `: llm_gateway ${factsJson}\n\n`;
    return rest + last + DONE;
  }

  fail(error: object, factsJson: string): string {
    return `data: ${withFacts(JSON.stringify(error), factsJson)}\n\n`;
  }

  #translated(): ChunkWriter {
    this.#chunks ??= new ChunkWriter({
      requestId: this.#requestId,
      createdAt: new Date(),
      model: this.#model,
    });
    return this.#chunks;
  }
}
