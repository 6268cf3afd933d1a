import type { StreamDelta } from "../../core/completion.ts";
import type { CompletionCall, CompletionSink, Gateway, StreamResult } from "../../core/gateway.ts";
import { completionEnd, type Ended, endOfFailed } from "../convert/completion-end.ts";
import { drained } from "../rpc/write-response.ts";
import { ChunkWriter } from "./chat-answer.ts";
import { type ChatRequest, ignoredHeaders } from "./chat-request.ts";
import { factsJson, originHeaders, replayedHeaders } from "./gateway-facts.ts";
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
  call.onOverdue((error) => stream.fail(error, endOfFailed(error)));
  try {
    const result = await gateway.stream(completion, stream);
    call.completed(completionEnd(chat.model, result, true));
    call.finish();
    stream.end(result);
  } catch (error) {
    const ended = endOfFailed(error);
    call.completed(completionEnd(chat.model, ended, true));
    call.finish(error);
    stream.fail(error, ended);
  }
}

/** One stream: the provider's own events where it speaks the dialect, else events made from the deltas. */
class ChatStream implements CompletionSink {
  readonly #call: OpenAiCall;
  readonly #chat: ChatRequest;
  #provider = "";
  #model = "";
  #replayed = false;
  #writer: ChunkWriter | undefined;
  #over = false;

  constructor(call: OpenAiCall, chat: ChatRequest) {
    this.#call = call;
    this.#chat = chat;
  }

  started(provider: string, model: string, replayed = false): void {
    this.#provider = provider;
    this.#model = model;
    this.#replayed = replayed;
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
  fail(thrown: unknown, ended: Ended): void {
    if (this.#over) return;
    const { requestId, response } = this.#call;
    if (!response.headersSent) {
      this.#over = true;
      this.#call.sendError(thrown);
      return;
    }
    const error = JSON.stringify(toOpenAiError(thrown, requestId).body);
    const facts = factsJson({ ...ended, requestId, provider: this.#provider, model: this.#model });
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
      ...replayedHeaders(this.#replayed),
      // Of a replayed answer it is not known what its provider was told.
      ...(this.#writer && !this.#replayed && ignoredHeaders(this.#chat)),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
    });
  }
}

/** A member more in a JSON object. */
function withFacts(objectJson: string, factsJson: string): string {
  return `${objectJson.slice(0, objectJson.lastIndexOf("}"))},"llm_gateway":${factsJson}}`;
}
