/**
 * What the server's edge bears from a peer, well-behaved or not. Times are in milliseconds, sizes in bytes unless the
 * name says otherwise. Every connection is bounded in time, in memory and in the work that it can cause.
 */
export interface ServerLimits {
  /** Connections at once; more are closed on arrival. Keep it below the process's limit of open files. */
  readonly maxConnections: number;

  /** All headers of a request, names and values, in both protocol versions. */
  readonly maxHeaderBytes: number;
  /** Header field lines of a request, pseudo headers not counted. */
  readonly maxHeaders: number;

  /** From the TCP accept to the end of the TLS handshake. */
  readonly tlsHandshakeTimeoutMs: number;
  /**
   * From the TCP accept, or the end of the TLS handshake, to the first proof of a real client: the complete headers of
   * the first HTTP/1 request, or the HTTP/2 preface with its SETTINGS. Below 10 s, so that a silent socket is gone by
   * then for certain.
   */
  readonly firstRequestTimeoutMs: number;
  /** For the headers of a later request on an HTTP/1 connection, from their first byte. */
  readonly headersTimeoutMs: number;
  /**
   * For a whole request, headers and body, from its first byte; at least `headersTimeoutMs`. A request that streams for
   * longer, as server reflection may, is cancelled.
   */
  readonly requestTimeoutMs: number;
  /** An HTTP/1 connection without a request. Above the 60 s of common load balancers, which should close first. */
  readonly keepAliveTimeoutMs: number;
  /** An HTTP/2 connection without a stream; it ends with a GOAWAY. */
  readonly http2IdleTimeoutMs: number;
  /**
   * How long a peer may take nothing of what waits for it. A message counts when all of it is taken. Then its stream
   * is reset, or its HTTP/1 connection closed; an HTTP/2 connection that then does not answer a PING within
   * `headersTimeoutMs` is closed as well.
   */
  readonly writeStallTimeoutMs: number;
  /** How often the timeouts of running requests are checked; their precision. */
  readonly checkIntervalMs: number;

  /** Open streams of one HTTP/2 connection; more are refused, and a peer that has acknowledged the limit is cut off. */
  readonly http2MaxConcurrentStreams: number;
  /** What a peer may send on one stream before it was read. */
  readonly http2StreamWindowBytes: number;
  /** What a peer may send on all streams of a connection before it was read. */
  readonly http2ConnectionWindowBytes: number;
  /** Largest frame taken; 16,384 is the smallest that the protocol allows. */
  readonly http2MaxFrameBytes: number;
  /** Header compression table. */
  readonly http2HeaderTableBytes: number;
  /** Memory of one connection's session in MB; above it new streams are refused. */
  readonly http2MaxSessionMegabytes: number;
  /** Entries of one SETTINGS frame. */
  readonly http2MaxSettings: number;
  /** PINGs of ours without an answer. */
  readonly http2MaxOutstandingPings: number;
  /** Invalid frames of a connection until it is closed. */
  readonly http2MaxInvalidFrames: number;
  /** Streams refused on creation until the connection is closed. */
  readonly http2MaxRejectedStreams: number;
  /** Streams that a peer may reset at once (CVE-2023-44487); above, the connection is closed. */
  readonly http2StreamResetBurst: number;
  /** Resets a second by which that allowance grows again. */
  readonly http2StreamResetRate: number;
}

/** The defaults; each can be overridden by configuration, tests use shorter times. */
export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  maxConnections: 10_000,
  maxHeaderBytes: 16 * 1024,
  maxHeaders: 100,
  tlsHandshakeTimeoutMs: 9_000,
  firstRequestTimeoutMs: 9_000,
  headersTimeoutMs: 9_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 75_000,
  http2IdleTimeoutMs: 300_000,
  writeStallTimeoutMs: 30_000,
  checkIntervalMs: 500,
  http2MaxConcurrentStreams: 100,
  http2StreamWindowBytes: 128 * 1024,
  http2ConnectionWindowBytes: 1024 * 1024,
  http2MaxFrameBytes: 16 * 1024,
  http2HeaderTableBytes: 4096,
  http2MaxSessionMegabytes: 10,
  http2MaxSettings: 32,
  http2MaxOutstandingPings: 10,
  http2MaxInvalidFrames: 100,
  http2MaxRejectedStreams: 100,
  http2StreamResetBurst: 1_000,
  http2StreamResetRate: 33,
};
