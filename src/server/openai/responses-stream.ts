import type { StreamDelta } from "../../core/completion.ts";
import type { StreamResult } from "../../core/gateway.ts";
import { type StreamWriter, withFacts } from "../compatible/completion-format.ts";
import { ResponseEvents } from "./responses-events.ts";
import type { ResponsesRequest } from "./responses-request.ts";

const SEQUENCE_NUMBER = /"sequence_number":\s*(\d{1,15})/g;

/** The events of one response. The one that ends it also says what it cost. */
export class ResponsesStreamWriter implements StreamWriter {
  readonly #request: ResponsesRequest;
  readonly #requestId: string;
  #model = "";
  #lastEvents = "";
  #replay: ResponseEvents | undefined;

  constructor(request: ResponsesRequest, requestId: string) {
    this.#request = request;
    this.#requestId = requestId;
  }

  started(model: string): void {
    this.#model = model;
  }

  deltas(deltas: readonly StreamDelta[]): string {
    return this.relay(this.#events().deltas(deltas));
  }

  relay(events: string): string {
    if (events !== "") this.#lastEvents = events;
    return events;
  }

  end(result: StreamResult, factsJson: string): string {
    const { native } = result;
    if (!native) {
      const { rest, lastJson, lastEvent } = this.#events().finish(result);
      return rest + toEvent(lastEvent, withFacts(lastJson, factsJson));
    }
    const { tail, usageJson, usageEvent } = native;
    return usageJson === undefined ? tail : tail + toEvent(usageEvent, withFacts(usageJson, factsJson));
  }

  /** The members of the error are where OpenAI's reference has them, and where its servers have them. */
  fail(error: object, factsJson: string): string {
    const [, last] = [...this.#lastEvents.matchAll(SEQUENCE_NUMBER)].at(-1) ?? [];
    const sequence = { sequence_number: last === undefined ? 0 : Number(last) + 1 };
    const members = "error" in error && typeof error.error === "object" ? error.error : {};
    const event = { ...members, type: "error", ...sequence, ...error };
    return toEvent("error", withFacts(JSON.stringify(event), factsJson));
  }

  #events(): ResponseEvents {
    this.#replay ??= new ResponseEvents(this.#model, {
      request: this.#request,
      requestId: this.#requestId,
      createdAt: new Date(),
    });
    return this.#replay;
  }
}

function toEvent(name: string | undefined, json: string): string {
  const data = `data: ${json.replaceAll("\n", "\ndata: ")}\n\n`;
  return name === undefined ? data : `event: ${name}\n${data}`;
}
