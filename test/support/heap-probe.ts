import type { GatewayProcess } from "./gateway-process.ts";

/** Makes a gateway answer a heap probe; its environment. */
export const HEAP_PROBE_ENV = { NODE_OPTIONS: "--inspect=127.0.0.1:0" };

export interface HeapProbe {
  /** Bytes of objects that live and of the buffers that they hold, right after a garbage collection. */
  liveBytes(): Promise<number>;
  close(): void;
}

interface InspectorReply {
  readonly id: number;
  readonly result: { readonly result?: { readonly value?: unknown } };
}

const MEASURE = "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())";

/** Looks into a process from outside, by the inspector: nothing in the gateway serves this. */
export async function openHeapProbe(gateway: GatewayProcess): Promise<HeapProbe> {
  const url = /ws:\/\/\S+/.exec(gateway.output())?.[0];
  if (url === undefined) throw new Error("the gateway was not started with HEAP_PROBE_ENV");
  const socket = new WebSocket(url);
  const waiting = new Map<number, (result: InspectorReply["result"]) => void>();
  let nextId = 1;
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as InspectorReply;
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  const ask = (method: string, params: Readonly<Record<string, unknown>> = {}) =>
    new Promise<InspectorReply["result"]>((resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  return {
    async liveBytes() {
      // The first collection runs finalizers, whose objects only the second one frees.
      await ask("HeapProfiler.collectGarbage");
      await ask("HeapProfiler.collectGarbage");
      const { result } = await ask("Runtime.evaluate", { expression: MEASURE });
      return Number(result?.value);
    },
    close: () => socket.close(),
  };
}
