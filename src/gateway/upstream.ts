import { ProviderError } from "../core/provider-error.ts";
import { type DrainPermit, type Drains, MAX_DRAINED_BYTES } from "./drains.ts";

/** How long one call to a provider lives: as long as its request, or longer when it is drained. */
export interface Upstream {
  /** For the call. */
  readonly signal: AbortSignal;
  /** To be told when the request was sent: what was not sent is never drained. */
  readonly onSent: (() => void) | undefined;
  /** The request is over and the call goes on: nothing is delivered any more. */
  readonly detached: boolean;
  /** It was closed with its request, and would have been detached had there been room. */
  readonly foundNoRoom: boolean;
  /** Resolves with the end of the request once the call is detached; of most calls never. */
  readonly whenDetached: Promise<ProviderError> | undefined;
  /** So many bytes of output came in all; too many close a detached call. */
  received(outputBytes: number): void;
  /** The call is over, and on the ledger. */
  end(): void;
}

/** Aborted with its request. */
export function createUpstream(requestSignal: AbortSignal): Upstream {
  return {
    signal: requestSignal,
    onSent: undefined,
    detached: false,
    foundNoRoom: false,
    whenDetached: undefined,
    received() {},
    end() {},
  };
}

/** Detached from its request when that ends after the call was sent, if there is room; aborted with it otherwise. */
export function createDrainedUpstream(requestSignal: AbortSignal, drains: Drains): Upstream {
  const controller = new AbortController();
  const { promise: whenDetached, resolve } = Promise.withResolvers<ProviderError>();
  let sent = false;
  let permit: DrainPermit | undefined;
  let foundNoRoom = false;
  const close = () => controller.abort(closedError());
  const onRequestOver = () => {
    const reason: unknown = requestSignal.reason;
    const isDrained = sent && reason instanceof ProviderError;
    permit = isDrained ? drains.begin(close) : undefined;
    foundNoRoom = isDrained && !permit;
    if (permit) resolve(reason as ProviderError);
    else controller.abort(reason);
  };
  if (requestSignal.aborted) onRequestOver();
  else requestSignal.addEventListener("abort", onRequestOver, { once: true });
  return {
    signal: controller.signal,
    onSent() {
      sent = true;
    },
    get detached() {
      return permit !== undefined;
    },
    get foundNoRoom() {
      return foundNoRoom;
    },
    whenDetached,
    received(outputBytes) {
      if (permit && outputBytes > MAX_DRAINED_BYTES) close();
    },
    end() {
      requestSignal.removeEventListener("abort", onRequestOver);
      permit?.end();
    },
  };
}

const closedError = () =>
  new ProviderError("CANCELLED", "the call was drained for too long", { billing: "maybe_billed" });
