import type { Socket } from "node:net";

/** The open TCP connections of a listener, and the deadlines of those that have not shown a real client yet. */
export interface ConnectionTable {
  readonly size: number;
  /** Counts an accepted connection until it closes. */
  opened(socket: Socket): void;
  /** Destroys the socket unless `established` is called for it in time. */
  startDeadline(socket: Socket, timeoutMs: number): void;
  established(socket: Socket): void;
  /** Destroys those that have not shown a real client, unless `spared` says otherwise. */
  destroyPending(spared: (socket: Socket) => boolean): void;
  /** Ends all by FIN, and reads on, so that their peers see an end and no reset. */
  endAll(): void;
  destroyAll(): void;
  /** Resolves as soon as no connection is open. */
  whenEmpty(): Promise<void>;
}

export function createConnectionTable(): ConnectionTable {
  const open = new Set<Socket>();
  const deadlines = new Map<Socket, NodeJS.Timeout>();
  let onEmpty: (() => void)[] = [];

  function established(socket: Socket): void {
    const deadline = deadlines.get(socket);
    if (deadline === undefined) return;
    clearTimeout(deadline);
    deadlines.delete(socket);
  }

  return {
    get size() {
      return open.size;
    },
    opened(socket) {
      open.add(socket);
      socket.once("close", () => {
        open.delete(socket);
        if (open.size > 0) return;
        for (const resolve of onEmpty) resolve();
        onEmpty = [];
      });
    },
    startDeadline(socket, timeoutMs) {
      deadlines.set(
        socket,
        setTimeout(() => socket.destroy(), timeoutMs),
      );
      socket.once("close", () => established(socket));
    },
    established,
    destroyPending(spared) {
      for (const socket of deadlines.keys()) {
        if (!spared(socket)) socket.destroy();
      }
    },
    endAll() {
      for (const socket of open) socket.end();
    },
    destroyAll() {
      for (const socket of open) socket.destroy();
    },
    whenEmpty() {
      if (open.size === 0) return Promise.resolve();
      return new Promise((resolve) => onEmpty.push(resolve));
    },
  };
}
