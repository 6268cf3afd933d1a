import type { ProviderAnswer, StreamEnd } from "../core/completion.ts";
import type { CompletionSink, Gateway } from "../core/gateway.ts";
import { partTexts } from "../pricing/usage-estimator.ts";
import {
  type Executed,
  type Execution,
  executeCompletion,
  type GatewayDependencies,
} from "./execute-completion.ts";
import type { Answered, Invoke } from "./run-attempt.ts";

/** What a reload of the configuration replaces, as one. */
export type GatewayRouting = Pick<GatewayDependencies, "router" | "providers" | "prices">;

export interface RunningGateway extends Gateway {
  /** Completions that have not ended, including those whose caller is gone already. */
  readonly active: number;
  /** Resolves when no completion is active. */
  idle(): Promise<void>;
  /**
   * For completions from now on; those under way end with what they began with. Resolves when the last of them has
   * ended, so that what was replaced may be closed.
   */
  replaceRouting(routing: GatewayRouting): Promise<void>;
}

/** The use case: authorise → admit → route → attempt → price → settle. */
export function createGateway(dependencies: GatewayDependencies): RunningGateway {
  let current = createGeneration(dependencies);
  const generations = new Set([current]);

  async function execute<A extends Answered>(execution: Execution<A>): Promise<Executed<A>> {
    const generation = current;
    generation.enter();
    try {
      return await executeCompletion(generation.dependencies, execution);
    } finally {
      generation.leave();
    }
  }

  return {
    get active() {
      return [...generations].reduce((sum, { active }) => sum + active, 0);
    },
    async idle() {
      await Promise.all([...generations].map((generation) => generation.idle()));
    },
    async replaceRouting(routing) {
      const replaced = current;
      current = createGeneration({ ...dependencies, ...routing });
      generations.add(current);
      await replaced.idle();
      generations.delete(replaced);
    },
    async complete(call) {
      const { answer, candidate, attempts } = await execute({
        call,
        streamed: false,
        invoke: invokeUnary,
        delivered: () => false,
      });
      return { ...candidate, choices: answer.choices, attempts };
    },
    async stream(call, sink) {
      const { answer, candidate, attempts } = await execute({
        call,
        streamed: true,
        ...createDelivery(sink),
      });
      return { ...candidate, finishReasons: answer.finishReasons, attempts };
    },
    models(principal) {
      const { clock, router, prices } = current.dependencies;
      const at = clock.now();
      return router.names(principal).map(({ name, chain }) => ({
        name,
        chain: chain.map((candidate) => ({ ...candidate, price: prices.find({ ...candidate, at }) })),
      }));
    },
  };
}

/** The completions that began with the same routing. */
function createGeneration(dependencies: GatewayDependencies) {
  let active = 0;
  let waiters: (() => void)[] = [];
  return {
    dependencies,
    get active() {
      return active;
    },
    enter(): void {
      active += 1;
    },
    leave(): void {
      active -= 1;
      if (active > 0) return;
      for (const wake of waiters) wake();
      waiters = [];
    },
    idle(): Promise<void> {
      return active === 0 ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve));
    },
  };
}

const invokeUnary: Invoke<ProviderAnswer> = async (provider, call, { onText }) => {
  const answer = await provider.complete(call);
  for (const { message } of answer.choices) for (const text of message.parts.flatMap(partTexts)) onText(text);
  return { answer, received: { outputBytes: answer.outputBytes, deltas: 0 } };
};

/** Passes a stream on to the caller and remembers whether anything was delivered. */
function createDelivery(sink: CompletionSink): { invoke: Invoke<StreamEnd>; delivered: () => boolean } {
  let started = false;
  return {
    delivered: () => started,
    invoke: async (provider, call, { onFirstToken, onDeltas, isDetached }) => {
      const start = () => {
        if (started) return;
        started = true;
        onFirstToken();
        sink.started(provider.name, call.model);
      };
      const answer = await provider.stream(call, (deltas) => {
        if (!isDetached()) start();
        onDeltas(deltas);
        return isDetached() ? undefined : sink.deltas(deltas);
      });
      if (!isDetached()) start();
      return { answer, received: answer };
    },
  };
}
