import type { ProviderAnswer, StreamEnd } from "../core/completion.ts";
import type { CompletionSink, Gateway } from "../core/gateway.ts";
import {
  type Executed,
  type Execution,
  executeCompletion,
  type GatewayDependencies,
} from "./execute-completion.ts";
import type { Answered, Invoke } from "./run-attempt.ts";

export interface RunningGateway extends Gateway {
  /** Completions that have not ended, including those whose caller is gone already. */
  readonly active: number;
  /** Resolves when no completion is active. */
  idle(): Promise<void>;
}

/** The use case: authorise → admit → route → attempt → price → settle. */
export function createGateway(dependencies: GatewayDependencies): RunningGateway {
  const { clock, prices, router } = dependencies;
  let active = 0;
  let idleWaiters: (() => void)[] = [];

  async function execute<A extends Answered>(execution: Execution<A>): Promise<Executed<A>> {
    active += 1;
    try {
      return await executeCompletion(dependencies, execution);
    } finally {
      active -= 1;
      if (active === 0) {
        for (const wake of idleWaiters) wake();
        idleWaiters = [];
      }
    }
  }

  return {
    get active() {
      return active;
    },
    idle() {
      return active === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve));
    },
    async complete(call) {
      const { answer, candidate, attempts } = await execute({
        call,
        streamed: false,
        invoke: invokeUnary,
        delivered: () => false,
      });
      return { ...candidate, choices: answer.choices, attempts, native: answer.native };
    },
    async stream(call, sink) {
      const { answer, candidate, attempts } = await execute({
        call,
        streamed: true,
        ...createDelivery(sink),
      });
      return { ...candidate, finishReasons: answer.finishReasons, attempts, native: answer.native };
    },
    models(principal) {
      const at = clock.now();
      return router.names(principal).map(({ name, chain }) => ({
        name,
        chain: chain.map((candidate) => ({ ...candidate, price: prices.find({ ...candidate, at }) })),
      }));
    },
  };
}

const invokeUnary: Invoke<ProviderAnswer> = async (provider, call) => {
  const answer = await provider.complete(call);
  return { answer, received: { outputBytes: answer.outputBytes, deltas: 0 } };
};

/** Passes a stream on to the caller and remembers whether anything was delivered. */
function createDelivery(sink: CompletionSink): { invoke: Invoke<StreamEnd>; delivered: () => boolean } {
  let started = false;
  return {
    delivered: () => started,
    invoke: async (provider, call, { onFirstToken, onDeltas }) => {
      const start = () => {
        if (started) return;
        started = true;
        onFirstToken();
        sink.started(provider.name, call.model);
      };
      const answer = await provider.stream(call, (deltas, native) => {
        start();
        onDeltas(deltas);
        return sink.deltas(deltas, native);
      });
      start();
      return { answer, received: answer };
    },
  };
}
