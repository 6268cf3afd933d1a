import type { GatewayProcess } from "./gateway-process.ts";

/** Makes a gateway answer a heap probe; its environment. */
export const HEAP_PROBE_ENV = { NODE_OPTIONS: "--inspect=127.0.0.1:0" };

export interface HeapProbe {
  /** Bytes of objects that live, right after a garbage collection. */
  liveBytes(): Promise<number>;
  close(): void;
}

/** Looks into a process from outside, by the inspector: nothing in the gateway serves this. */
export async function openHeapProbe(gateway: GatewayProcess): Promise<HeapProbe> {
  const url = /ws:\/\/\S+/.exec(gateway.output())?.[0];
  if (url === undefined) throw new Error("the gateway was not started with HEAP_PROBE_ENV");
  const socket = new WebSocket(url);
  const waiting = new Map<number, (result: { readonly usedSize?: number }) => void>();
  let nextId = 1;
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: { usedSize?: number } };
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  const ask = (method: string) =>
    new Promise<{ readonly usedSize?: number }>((resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method }));
    });
  return {
    async liveBytes() {
      // The first collection runs finalizers, whose objects only the second one frees.
      await ask("HeapProfiler.collectGarbage");
      await ask("HeapProfiler.collectGarbage");
      return (await ask("Runtime.getHeapUsage")).usedSize ?? Number.NaN;
    },
    close: () => socket.close(),
  };
}
