import type { ProviderAnswer, StreamEnd } from "../core/completion.ts";
import type { EmbeddingAnswer } from "../core/embedding.ts";
import type { ErrorReason } from "../core/error-table.ts";
import { GatewayError } from "../core/errors.ts";
import type {
  CompletionCall,
  CompletionResult,
  CompletionSink,
  EmbeddingCall,
  EmbeddingResult,
  Gateway,
  StreamResult,
} from "../core/gateway.ts";
import type { CallMethod } from "../core/ledger.ts";
import type { Candidate } from "../core/model-name.ts";
import type { CallMemory } from "../core/replay.ts";
import type { Recovery } from "../core/route.ts";
import { partTexts } from "../pricing/usage-estimator.ts";
import type { Router } from "../routing/router.ts";
import { createDeliveryRecorder } from "./delivery-recorder.ts";
import { embeddingExecution, embeddingResult, repeatableEmbedding } from "./embedding-call.ts";
import { type Executed, type Execution, executeCall, type GatewayDependencies } from "./execute-call.ts";
import type { Fingerprint } from "./fingerprint.ts";
import {
  type CallRecord,
  createRepeatableCalls,
  otherMethod,
  type RepeatableCall,
} from "./repeatable-calls.ts";
import type { Answered, Invoke } from "./run-attempt.ts";
import { suitableForCompletion } from "./suitability.ts";

/** What a reload of the configuration replaces, as one. */
export type GatewayRouting = Pick<GatewayDependencies, "router" | "providers" | "prices" | "contextWindows">;

export interface RunningGateway extends Gateway {
  /** Calls of models that have not ended, including those whose caller is gone already. */
  readonly active: number;
  /** Resolves when none is active. */
  idle(): Promise<void>;
  /**
   * For calls from now on; those under way end with what they began with. Resolves when the last of them has
   * ended, so that what was replaced may be closed.
   */
  replaceRouting(routing: GatewayRouting): Promise<void>;
}

export interface ReplayDependencies {
  readonly memory: CallMemory;
  readonly fingerprint: Fingerprint;
  /** Text of a streamed answer, or bytes of vectors, that are remembered for its repetitions at most. */
  readonly maxReplayBytes: number;
}

/** The use case: authorise → admit → route → attempt → price → settle. */
export function createGateway(dependencies: GatewayDependencies & ReplayDependencies): RunningGateway {
  const { maxReplayBytes } = dependencies;
  let current = createGeneration(dependencies);
  const generations = new Set([current]);
  const router: Pick<Router, "route"> = {
    route: (request, method) => current.dependencies.router.route(request, method),
  };
  const repeatable = createRepeatableCalls({ ...dependencies, router });

  function execute<A extends Answered>(execution: Execution<A>): Promise<Executed<A>> {
    const generation = current;
    generation.enter();
    const executed = executeCall(generation.dependencies, execution);
    executed.then(generation.leave, generation.leave);
    return executed;
  }

  function completeOnce(
    call: CompletionCall,
    record: CallRecord<ProviderAnswer> | undefined,
  ): Promise<CompletionResult> {
    const executed = execute({ ...asked("Complete", call), invoke: invokeUnary(call), record });
    return executed.then((end) => ({ ...unaryResult(end), native: end.answer.native }));
  }

  async function streamOnce(
    call: CompletionCall,
    sink: CompletionSink,
    record: CallRecord<StreamEnd> | undefined,
  ): Promise<StreamResult> {
    const recovery = call.recovery ?? current.dependencies.router.policyOf(call.model).recovery;
    const delivery = createDelivery(call, sink, recovery);
    const end = await execute({ ...asked("StreamComplete", call), ...delivery, record });
    return { ...streamResult(end), native: end.answer.native };
  }

  async function embedOnce(
    call: EmbeddingCall,
    record: CallRecord<EmbeddingAnswer> | undefined,
  ): Promise<EmbeddingResult> {
    const end = await execute(embeddingExecution(call, record));
    return { ...embeddingResult(end), native: end.answer.native };
  }

  const unaryCall = (call: CompletionCall): RepeatableCall<ProviderAnswer, CompletionResult> => ({
    call,
    method: "Complete",
    execute: (record) => completeOnce(call, record),
    conclusionOf: (end) => ({ kind: "completed", result: unaryResult(end) }),
    delivered: () => undefined,
    redeliver: () => Promise.resolve(),
    replay(conclusion) {
      if (conclusion.kind !== "completed") throw otherMethod();
      return { ...conclusion.result, replayed: true };
    },
  });

  const streamedCall = (
    call: CompletionCall,
    sink: CompletionSink,
  ): RepeatableCall<StreamEnd, StreamResult> => {
    const recorder = createDeliveryRecorder(sink, maxReplayBytes);
    return {
      call,
      method: "StreamComplete",
      execute: (record) => streamOnce(call, recorder, record),
      conclusionOf(end) {
        const delivered = recorder.delivered();
        if (!delivered || delivered === "too_large") return "not_kept";
        return { kind: "streamed", delivered, result: streamResult(end) };
      },
      delivered: () => recorder.delivered(),
      async redeliver({ provider, model, deltas }) {
        sink.started(provider, model, true);
        for (const delta of deltas) await sink.deltas([delta]);
      },
      replay(conclusion) {
        if (conclusion.kind !== "streamed") throw otherMethod();
        return { ...conclusion.result, replayed: true };
      },
    };
  };

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
    complete(call) {
      return call.repeatable ? repeatable.run(unaryCall(call)) : completeOnce(call, undefined);
    },
    stream(call, sink) {
      return call.repeatable ? repeatable.run(streamedCall(call, sink)) : streamOnce(call, sink, undefined);
    },
    embed(call) {
      if (!call.repeatable) return embedOnce(call, undefined);
      const once = (record: CallRecord<EmbeddingAnswer>) => embedOnce(call, record);
      return repeatable.run(repeatableEmbedding(call, { execute: once, maxReplayBytes }));
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

function asked(method: CallMethod, call: CompletionCall) {
  return { method, call, suitable: suitableForCompletion(call), streamed: method === "StreamComplete" };
}

/** The calls that began with the same routing. */
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
    leave: (): void => {
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

/** Without the provider's own text: what is remembered is what it means. */
function unaryResult({ answer, candidate, attempts }: Executed<ProviderAnswer>): CompletionResult {
  return { ...candidate, choices: answer.choices, attempts, replayed: false };
}

function streamResult({ answer, candidate, attempts }: Executed<StreamEnd>): StreamResult {
  return { ...candidate, finishReasons: answer.finishReasons, attempts, replayed: false };
}

const invokeUnary =
  ({ input, native }: CompletionCall): Invoke<ProviderAnswer> =>
  async (provider, frame, { onText }) => {
    const answer = await provider.complete({ ...frame, input, native });
    // Only where somebody has to count them.
    if (answer.usage.kind !== "reported") {
      for (const { message } of answer.choices)
        for (const text of message.parts.flatMap(partTexts)) onText(text);
    }
    return { answer, received: { outputBytes: answer.outputBytes, deltas: 0 } };
  };

/** Passes a stream on to the caller, that of another candidate after it when the first breaks off and recovery is asked. */
function createDelivery(
  { input, native }: CompletionCall,
  sink: CompletionSink,
  recovery: Recovery,
): Pick<Execution<StreamEnd>, "invoke" | "mayRestart"> {
  const restarts = recovery === "restart" ? sink.recovery : undefined;
  restarts?.expected();
  let started = false;
  let brokeOff: ErrorReason = "PROVIDER_ERROR";
  const begin = ({ provider, model }: Candidate) => {
    if (started) restarts?.restarted(provider, model, brokeOff);
    else sink.started(provider, model);
    started = true;
  };
  return {
    mayRestart: restarts && (() => restarts.possible),
    invoke: async (provider, frame, { onFirstToken, onDeltas, isDetached, mayDeliver }) => {
      let delivering = false;
      const delivers = (): boolean => {
        if (isDetached()) return false;
        if (delivering) return true;
        if (mayDeliver?.() === false) return false;
        delivering = true;
        onFirstToken();
        begin({ provider: provider.name, model: frame.model });
        return true;
      };
      // Some providers send an event without content at once, which is no reason to call off a race.
      let early = "";
      try {
        const answer = await provider.stream({ ...frame, input, native }, (deltas, events) => {
          if (mayDeliver && !delivering && deltas.length === 0 && events && early === "") {
            early = events;
            return undefined;
          }
          const isDelivered = delivers();
          onDeltas(deltas);
          if (!isDelivered) return undefined;
          const relayed = early === "" ? events : early + (events ?? "");
          early = "";
          return sink.deltas(deltas, relayed);
        });
        if (delivers() && early !== "") await sink.deltas([], early);
        return { answer, received: answer };
      } catch (thrown) {
        if (delivering) brokeOff = GatewayError.from(thrown).reason;
        throw thrown;
      }
    },
  };
}
