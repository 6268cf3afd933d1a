/** A call that is read to its end although its request is over, for the usage in it. */
export interface DrainPermit {
  /** The call is over, and what it came to is on the ledger. */
  end(): void;
}

/** The calls of providers that bill a cancelled call in full, which outlive their requests. */
export interface Drains {
  /**
   * Takes the call on. It is closed after `MAX_DRAIN_MS` at the latest. Undefined when there is no room for another:
   * then it is to be closed at once.
   */
  begin(close: () => void): DrainPermit | undefined;
  readonly active: number;
  /** A drain that could not be put on the ledger; its estimate stays. */
  failed(error: unknown): void;
  /** Waits at most so long for those under way, then closes them; resolves when all have ended. Takes no new ones. */
  close(graceMs: number): Promise<void>;
}

/** Calls that are drained at once, process-wide; each holds a socket. */
export const MAX_DRAINS = 100;
/** From the end of its request. */
export const MAX_DRAIN_MS = 60_000;
/** Of output that a drained stream may have in all. */
export const MAX_DRAINED_BYTES = 16 * 1024 * 1024;

export function createDrains(options: { readonly onError: (error: unknown) => void }): Drains {
  const closers = new Set<() => void>();
  let closing = false;
  let idleWaiters: (() => void)[] = [];

  const whenIdle = (): Promise<void> =>
    closers.size === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve));

  return {
    begin(close) {
      if (closing || closers.size >= MAX_DRAINS) return undefined;
      const timer = setTimeout(close, MAX_DRAIN_MS);
      closers.add(close);
      return {
        end() {
          clearTimeout(timer);
          closers.delete(close);
          if (closers.size > 0) return;
          for (const wake of idleWaiters) wake();
          idleWaiters = [];
        },
      };
    },
    get active() {
      return closers.size;
    },
    failed: options.onError,
    async close(graceMs) {
      closing = true;
      const timer = setTimeout(() => {
        for (const close of closers) close();
      }, graceMs);
      await whenIdle();
      clearTimeout(timer);
    },
  };
}
