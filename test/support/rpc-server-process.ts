/** The RPC layer as a process of its own, so that a test can see how much memory it takes. Answers each message with its peak RSS in bytes since the last. */
import { startRpcServer } from "./rpc-server.ts";

const server = await startRpcServer();
let peakBytes = 0;
const sample = () => {
  peakBytes = Math.max(peakBytes, process.memoryUsage().rss);
};
setInterval(sample, 5);
process.on("message", () => {
  sample();
  process.send?.({ peakBytes });
  peakBytes = 0;
});
process.once("disconnect", () => process.exit());
process.send?.({ http1Url: server.http1Url, http2Url: server.http2Url });
