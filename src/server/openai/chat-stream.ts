import type { StreamDelta } from "../../core/completion.ts";
import {
  type CompletionCall,
  CompletionError,
  type CompletionSink,
  type Gateway,
  type StreamResult,
} from "../../core/gateway.ts";
import { completionEnd } from "../convert/completion-end.ts";
import { drained } from "../rpc/write-response.ts";
import { ChunkWriter } from "./chat-answer.ts";
import { type ChatRequest, ignoredHeaders } from "./chat-request.ts";
import { type Facts, factsJson, originHeaders } from "./gateway-facts.ts";
import type { OpenAiCall } from "./openai-call.ts";
import { toOpenAiError } from "./openai-error.ts";
import { rateLimitHeaders } from "./rate-limit-headers.ts";

const DONE = "data: [DONE]\n\n";
/** A line break cannot be within JSON text: this is the last member of the event's object. */
const EMPTY_USAGE_AT_END = ',"usage":null}\n\n';
const OBJECT_END = "}\n\n";

/** Streams a completion as server-sent events, and reports its end. Never rejects. */
export async function streamChat(
  gateway: Gateway,
  call: OpenAiCall,
  request: { readonly chat: ChatRequest; readonly completion: CompletionCall },
): Promise<void> {
  const { chat, completion } = request;
  const stream = new ChatStream(call, chat);
  call.onOverdue((error) => stream.fail(error, []));
  try {
    const result = await gateway.stream(completion, stream);
    call.completed(completionEnd(chat.model, result.attempts, true));
    call.finish();
    stream.end(result);
  } catch (error) {
    const attempts = error instanceof CompletionError ? error.attempts : [];
    call.completed(completionEnd(chat.model, attempts, true));
    call.finish(error);
    stream.fail(error, attempts);
  }
}

/** One stream: the provider's own events where it speaks the dialect, else events made from the deltas. */
class ChatStream implements CompletionSink {
  readonly #call: OpenAiCall;
  readonly #chat: ChatRequest;
  #provider = "";
  #model = "";
  #writer: ChunkWriter | undefined;
  #over = false;

  constructor(call: OpenAiCall, chat: ChatRequest) {
    this.#call = call;
    this.#chat = chat;
  }

  started(provider: string, model: string): void {
    this.#provider = provider;
    this.#model = model;
  }

  deltas(deltas: readonly StreamDelta[], native: string | undefined): Promise<void> | undefined {
    if (this.#over) return undefined;
    const events =
      native === undefined ? this.#translated().deltas(deltas) : this.#withoutUnaskedUsage(native);
    const { response } = this.#call;
    if (events === "" || response.destroyed) return undefined;
    this.#writeHead();
    return response.write(events) ? undefined : drained(response);
  }

  /** Everything is on the ledger: the usage, with what the call cost, and the end. */
  end(result: StreamResult): void {
    const { native } = result;
    const rest = native ? this.#withoutUnaskedUsage(native.tail) : this.#translated().finish(result);
    const usageJson = native ? native.usageJson : this.#writer?.usageJson(result);
    const facts = factsJson({ ...result, requestId: this.#call.requestId });
    const last =
      this.#chat.includeUsage && usageJson !== undefined
        ? `data: ${withFacts(usageJson, facts)}\n\n`
        : `: llm_gateway ${facts}\n\n`;
    this.#close(rest + last + DONE);
  }

  /** An error before the first event is an answer of its own; after it, it is the last event, and `[DONE]` is missing. */
  fail(thrown: unknown, attempts: Facts["attempts"]): void {
    if (this.#over) return;
    const { requestId, response } = this.#call;
    if (!response.headersSent) {
      this.#over = true;
      this.#call.sendError(thrown);
      return;
    }
    const error = JSON.stringify(toOpenAiError(thrown, requestId).body);
    const facts = factsJson({ requestId, provider: this.#provider, model: this.#model, attempts });
    this.#close(`data: ${withFacts(error, facts)}\n\n`);
  }

  /** The gateway asks for the usage of every stream, and OpenAI then puts an empty one into each event. */
  #withoutUnaskedUsage(events: string): string {
    return this.#chat.includeUsage ? events : events.replaceAll(EMPTY_USAGE_AT_END, OBJECT_END);
  }

  #translated(): ChunkWriter {
    this.#writer ??= new ChunkWriter({
      requestId: this.#call.requestId,
      createdAt: new Date(),
      model: this.#model,
    });
    return this.#writer;
  }

  #close(text: string): void {
    if (this.#over) return;
    this.#over = true;
    const { response } = this.#call;
    if (response.destroyed) return;
    this.#writeHead();
    response.end(text);
  }

  #writeHead(): void {
    const { response, limits, requestId } = this.#call;
    if (response.headersSent) return;
    response.writeHead(200, {
      "x-request-id": requestId,
      ...rateLimitHeaders(limits),
      ...originHeaders(this.#provider, this.#model),
      ...(this.#writer && ignoredHeaders(this.#chat)),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
    });
  }
}

/** A member more in a JSON object. */
function withFacts(objectJson: string, factsJson: string): string {
  return `${objectJson.slice(0, objectJson.lastIndexOf("}"))},"llm_gateway":${factsJson}}`;
}
