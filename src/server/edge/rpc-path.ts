// `/package.Service/Method`: only RPCs have a dot in the first of exactly two segments.
const RPC_PATH = /^\/[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\/[A-Za-z_]\w*$/;

/** The path of a request target, without the query. */
export function pathOf(url: string | undefined): string {
  if (url === undefined) return "/";
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}

/** Whether a path names an RPC, known or not: `/llmgateway.v1.CostService/CostQuery`. */
export function isRpcPath(path: string): boolean {
  return RPC_PATH.test(path);
}
