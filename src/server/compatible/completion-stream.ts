import type { StreamDelta } from "../../core/completion.ts";
import { GatewayError } from "../../core/errors.ts";
import type { CompletionCall, StreamResult } from "../../core/gateway.ts";
import { completionEnd, type Ended, endOfFailed } from "../convert/completion-end.ts";
import { drained } from "../rpc/write-response.ts";
import type { CompatibleCall } from "./compatible-call.ts";
import type { CompatibleDependencies } from "./compatible-dependencies.ts";
import type { CompatibleRequest, CompletionFormat, StreamWriter } from "./completion-format.ts";
import { factsJson, ignoredHeaders, originHeaders, replayedHeaders } from "./gateway-facts.ts";
import { HeldStream, type PatientSink } from "./held-stream.ts";

const KEEP_ALIVE = ": keep-alive\n\n";

/** Streams a completion as server-sent events, and reports its end. Never rejects. */
export async function streamCompletion<R extends CompatibleRequest>(
  { gateway, heldBytes }: CompatibleDependencies,
  call: CompatibleCall,
  asked: {
    readonly format: CompletionFormat<R>;
    readonly request: R;
    readonly completion: CompletionCall;
  },
): Promise<void> {
  const { format, request, completion } = asked;
  const stream = new CompletionStream(call, format.createStream(request, call.requestId), () =>
    ignoredHeaders(format.ignoredMembers(request)),
  );
  const held = new HeldStream(stream, heldBytes);
  const fail = (error: unknown) => {
    held.discard();
    stream.fail(error, endOfFailed(error));
  };
  call.onOverdue(fail);
  try {
    const result = await gateway.stream(completion, held);
    call.completed(completionEnd(request.model, result, true));
    call.finish();
    void held.release();
    stream.end(result);
  } catch (error) {
    call.completed(completionEnd(request.model, endOfFailed(error), true));
    call.finish(error);
    fail(error);
  }
}

/** One stream: the provider's own events where it speaks the dialect, else events made from the deltas. */
class CompletionStream implements PatientSink {
  readonly #call: CompatibleCall;
  readonly #writer: StreamWriter;
  readonly #ignoredHeaders: () => Record<string, string>;
  #origin: { readonly provider: string; readonly model: string } | undefined;
  #replayed = false;
  #translated = false;
  #over = false;

  constructor(call: CompatibleCall, writer: StreamWriter, ignoredHeaders: () => Record<string, string>) {
    this.#call = call;
    this.#writer = writer;
    this.#ignoredHeaders = ignoredHeaders;
  }

  started(provider: string, model: string, replayed = false): void {
    this.#origin = { provider, model };
    this.#replayed = replayed;
    this.#writer.started(model);
  }

  deltas(deltas: readonly StreamDelta[], native: string | undefined): Promise<void> | undefined {
    if (this.#over) return undefined;
    this.#translated = native === undefined;
    const events = native === undefined ? this.#writer.deltas(deltas) : this.#writer.relay(native);
    const { response } = this.#call;
    if (events === "" || response.destroyed) return undefined;
    this.#writeHead();
    return response.write(events) ? undefined : drained(response);
  }

  /** A comment, which every reader of events leaves out. It may come before it is known who answers in the end. */
  keepAlive(): void {
    const { response } = this.#call;
    if (this.#over || response.destroyed) return;
    this.#writeHead();
    response.write(KEEP_ALIVE);
  }

  /** Everything is on the ledger: the rest, with what the call cost, and the end. */
  end(result: StreamResult): void {
    this.#translated = result.native === undefined;
    this.#close(this.#writer.end(result, factsJson({ ...result, requestId: this.#call.requestId })));
  }

  /** An error before the first event is an answer of its own; after it, it is the last event. */
  fail(thrown: unknown, ended: Ended): void {
    if (this.#over) return;
    const { requestId, response } = this.#call;
    if (!response.headersSent) {
      this.#over = true;
      this.#call.sendError(thrown);
      return;
    }
    const { provider, model } = this.#origin ?? {};
    const { reason: errorReason } = GatewayError.from(thrown);
    const facts = factsJson({ ...ended, requestId, provider, model, errorReason });
    this.#close(this.#writer.fail(this.#call.api.toError(thrown, requestId).body, facts));
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
    const { response } = this.#call;
    if (response.headersSent) return;
    response.writeHead(200, {
      ...this.#call.commonHeaders(),
      ...(this.#origin && originHeaders(this.#origin.provider, this.#origin.model)),
      ...replayedHeaders(this.#replayed),
      // Of a replayed answer it is not known what its provider was told.
      ...(this.#translated && !this.#replayed && this.#ignoredHeaders()),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
    });
  }
}
