import createFetchClient, { type Client as FetchClient } from "openapi-fetch";

import { ApiError } from "./error.js";
import type { paths } from "./schema.js";

/** A method per HTTP method, typed by the contract: `client.GET("/clients/{client_id}/apps", …)`. */
export type Client = FetchClient<paths, "application/json">;

export interface ClientOptions {
  /** Where the API is, such as `https://api.example.com/v2`. */
  baseUrl: string;
  /** An API token. A function is asked for each request, so that a token can change. */
  token: string | (() => string | Promise<string>);
  /** Sends the requests, in place of the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

/**
 * Makes a client. Its methods resolve to `{ data, response }`, or to `{ error, response }` with the error that the contract
 * describes. An answer that is not the API's, such as a proxy's page, rejects with an `ApiError`; so does a network
 * failure, with what `fetch` rejects with.
 */
export function createClient({ baseUrl, token, fetch }: ClientOptions): Client {
  const client: Client = createFetchClient({ baseUrl, ...(fetch && { fetch }) });
  client.use({
    async onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      return request;
    },
    onResponse({ response }) {
      const bodiless = response.status === 204 || response.status === 304;
      if (!bodiless && response.headers.get("Content-Type") !== "application/json") {
        throw new ApiError(response);
      }
    },
  });
  return client;
}
