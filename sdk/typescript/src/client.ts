import createFetchClient, { type Client as FetchClient } from "openapi-fetch";

import { type ErrorResponse, ForeignError, fromProblem, NetworkError, type Problem } from "./error.js";
import { retrying } from "./retry.js";
import type { paths } from "./schema.js";

/** A method per HTTP method, typed by the contract: `client.GET("/clients/{client_id}/apps", …)`. */
export type Client = FetchClient<paths, "application/json">;

export interface ClientOptions {
  /** The URL of the API, such as `https://api.example.com/v2`. */
  baseUrl: string;
  /** An API token, or a function that is called for each request and returns one. */
  token: string | (() => string | Promise<string>);
  /** Sends the requests instead of the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
  /**
   * How often a request is sent again, at most, that is answered with 429 or 503 and `Retry-After`. The API writes nothing before these, so
   * every caller would write the same loop. By default 3; 0 for never. A `fetch` among the options of one request sends that once.
   */
  retries?: number;
}

/**
 * Creates a client. Its methods resolve to `{ data, response }`, or to `{ error, response }` with an error of the contract. They
 * reject with a `ForeignError` when something other than the API answers, such as a proxy. They reject with a `NetworkError` when no
 * complete answer arrives, because of the network, a timeout or an abort. After either of them a write may have been made or not:
 * send the request again, but if it creates something, look for that first.
 */
export function createClient({ baseUrl, token, fetch, retries = 3 }: ClientOptions): Client {
  const once = fetch ?? ((request: Request) => globalThis.fetch(request));
  const client: Client = createFetchClient({ baseUrl, fetch: retrying(once, retries) });
  client.use({
    async onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      return request;
    },
    async onResponse({ request, response }) {
      if (response.status === 204 || response.status === 304) {
        return;
      }
      // An object that is being deleted: no body.
      if (response.status === 202 && request.method === "DELETE" && !response.headers.has("Content-Type")) {
        return;
      }
      // Proxies add a charset, and may change the case and spacing of the type.
      const type = response.headers.get("Content-Type")?.split(";", 1)[0]?.trim().toLowerCase();
      const accept = request.headers.get("Accept") ?? "";
      if (response.ok && ["text/event-stream", "application/x-ndjson"].includes(accept)) {
        if (type !== accept) {
          throw new ForeignError(response);
        }
        return; // its end is not waited for
      }
      const isProblem = !response.ok && type === "application/problem+json";
      if (type !== "application/json" && !isProblem) {
        throw new ForeignError(response);
      }
      const text = await response.clone().text().catch((cause: unknown) => {
        throw new NetworkError(cause); // the connection broke
      });
      let body: (Partial<ErrorResponse> & Partial<Problem>) | null;
      try {
        body = JSON.parse(text);
      } catch (cause) {
        throw new ForeignError(response, { cause });
      }
      if (!response.ok && typeof (isProblem ? body?.code : body?.error?.code) !== "string") {
        throw new ForeignError(response);
      }
      if (isProblem) { // this client does not ask for them, but a middleware may
        return new Response(JSON.stringify(fromProblem(body as Problem)), response);
      }
    },
    onError({ error }) {
      return new NetworkError(error);
    },
  });
  return client;
}
