/** Whether new work should come here. */
export interface Readiness {
  /**
   * False while draining, and while the ledger cannot take a record. Not for a database that is away: the journal
   * carries what is served meanwhile, and all replicas would be taken out at once.
   */
  readonly ready: boolean;
  readonly draining: boolean;
  /** Asked once a second; no answer within 2 s is none. */
  readonly databaseAnswers: boolean;
  readonly ledgerReady: boolean;
  /** Looks now instead of when the next second is over. */
  check(): Promise<void>;
  /** Told of every change of `ready`. Returns how to stop listening. */
  onChange(listener: (ready: boolean) => void): () => void;
  /** From now on not ready, for good. */
  drain(): void;
  stop(): void;
}

const CHECK_INTERVAL_MS = 1_000;
const PING_TIMEOUT_MS = 2_000;

/** Watches the parts that a completion needs besides its providers, once a second. */
export function createReadiness(parts: {
  readonly ping: () => Promise<void>;
  /** Whether the database answered at the start. */
  readonly databaseAnswers: boolean;
  readonly ledger: { readonly ready: boolean };
}): Readiness {
  const listeners = new Set<(ready: boolean) => void>();
  let draining = false;
  let databaseAnswers = parts.databaseAnswers;
  let checking = false;

  const isReady = () => !draining && parts.ledger.ready;
  let told = isReady();
  const tell = () => {
    const ready = isReady();
    if (ready === told) return;
    told = ready;
    for (const listener of listeners) listener(ready);
  };
  const check = async () => {
    if (checking) return;
    checking = true;
    databaseAnswers = await answersInTime(parts.ping);
    checking = false;
    tell();
  };
  const timer = setInterval(() => void check(), CHECK_INTERVAL_MS);
  timer.unref();

  return {
    check,
    get ready() {
      return isReady();
    },
    get draining() {
      return draining;
    },
    get databaseAnswers() {
      return databaseAnswers;
    },
    get ledgerReady() {
      return parts.ledger.ready;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    drain() {
      draining = true;
      tell();
    },
    stop() {
      clearInterval(timer);
      listeners.clear();
    },
  };
}

async function answersInTime(ping: () => Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, PING_TIMEOUT_MS, false);
  });
  const answer = ping().then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
