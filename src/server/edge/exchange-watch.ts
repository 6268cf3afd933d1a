import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2Session } from "node:http2";
import type { Clock } from "../../core/clock.ts";
import { SlotList, type Slotted } from "../../core/slot-list.ts";
import { type EdgeRequest, type EdgeResponse, isHttp2 } from "./handler.ts";
import { TrackedHttp2Response } from "./http2-server.ts";
import type { ServerLimits } from "./limits.ts";

/** The requests that a listener is working on: reaps those whose peer stalls. */
export interface ExchangeWatch {
  /** Watches an exchange until its response closes. */
  add(request: EdgeRequest, response: EdgeResponse): void;
  /** Makes every HTTP/1 connection close after the answer that it waits for. */
  closeHttp1AfterAnswers(): void;
  stop(): void;
}

export interface ExchangeWatchOptions {
  readonly limits: ServerLimits;
  readonly clock: Clock;
  /** A stream of this session was reset since its peer took nothing. */
  readonly onStalledStream: (session: Http2Session) => void;
  /** A stream of this session ended with so many bytes unsent. */
  readonly onDiscardedBytes: (session: Http2Session, bytes: number) => void;
}

interface Exchange extends Slotted {
  readonly request: EdgeRequest;
  readonly response: EdgeResponse;
  readonly startedAtMs: number;
  bodyReceived: boolean;
  /** What the peer had taken when it last took something or nothing waited. */
  progress: number | undefined;
  progressAtMs: number;
}

/**
 * One sweep over all exchanges instead of timers for each: an entry per request, and a few property reads for
 * each running request at every check.
 */
export function createExchangeWatch(options: ExchangeWatchOptions): ExchangeWatch {
  const { limits, clock, onStalledStream, onDiscardedBytes } = options;
  const exchanges = new SlotList<Exchange>();
  let closing = false;

  function check(exchange: Exchange, nowMs: number): void {
    const { request, response } = exchange;
    const progress = progressOf(response);
    if (progress === undefined || response.writableLength === 0 || progress !== exchange.progress) {
      exchange.progress = progress;
      exchange.progressAtMs = nowMs;
    } else if (nowMs - exchange.progressAtMs >= limits.writeStallTimeoutMs) {
      exchanges.delete(exchange);
      reap(response);
      return;
    }
    if (exchange.bodyReceived || !isHttp2(response)) return;
    if (nowMs - exchange.startedAtMs < limits.requestTimeoutMs) return;
    if (response.stream.state.remoteClose === 1 || request.complete) exchange.bodyReceived = true;
    else response.stream.close(constants.NGHTTP2_CANCEL);
  }

  function reap(response: EdgeResponse): void {
    if (!isHttp2(response)) {
      response.socket?.destroy();
      return;
    }
    const { stream } = response;
    const { session } = stream;
    stream.close(constants.NGHTTP2_CANCEL);
    // The reset itself cannot be sent while the peer reads nothing at all.
    stream.destroy();
    if (session !== undefined) onStalledStream(session);
  }

  function reportDiscarded(session: Http2Session, response: EdgeResponse): void {
    if (response instanceof TrackedHttp2Response && response.discardedLength > 0) {
      onDiscardedBytes(session, response.discardedLength);
    }
  }

  const timer = setInterval(() => {
    const nowMs = clock.monotonicMs();
    for (const exchange of exchanges) check(exchange, nowMs);
  }, limits.checkIntervalMs);
  timer.unref();

  return {
    add(request, response) {
      const nowMs = clock.monotonicMs();
      const exchange: Exchange = {
        slot: -1,
        request,
        response,
        startedAtMs: nowMs,
        // Node itself limits how long an HTTP/1 request may take to arrive.
        bodyReceived: !isHttp2(response),
        progress: 0,
        progressAtMs: nowMs,
      };
      exchanges.add(exchange);
      if (closing && !isHttp2(response)) closeAfterAnswer(request, response);
      const session = isHttp2(response) ? response.stream.session : undefined;
      response.on("close", () => {
        exchanges.delete(exchange);
        if (session !== undefined) reportDiscarded(session, response);
      });
    },
    closeHttp1AfterAnswers() {
      closing = true;
      for (const { request, response } of exchanges) {
        if (!isHttp2(response)) closeAfterAnswer(request, response);
      }
    },
    stop() {
      clearInterval(timer);
    },
  };
}

/**
 * A number that changes when the peer takes something; undefined when nothing was offered to it yet, as for a
 * pipelined answer behind another. Writes are counted whole: Node shows no more.
 */
function progressOf(response: EdgeResponse): number | undefined {
  if (response instanceof TrackedHttp2Response) return response.flushedWrites;
  if (isHttp2(response)) return undefined;
  const { socket } = response;
  return socket === null ? undefined : socket.bytesWritten - socket.writableLength;
}

function closeAfterAnswer(request: EdgeRequest | IncomingMessage, response: ServerResponse): void {
  response.shouldKeepAlive = false;
  // Too late for the header when a stream has begun: then the connection is ended behind it.
  response.once("close", () => request.socket.destroySoon());
}
