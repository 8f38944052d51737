import createFetchClient, { type Client as FetchClient } from "openapi-fetch";

import { type ErrorResponse, ForeignError, NetworkError } from "./error.js";
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
 * describes. An answer that is not the API's, such as a proxy's page, rejects with a `ForeignError`. Where no whole answer has
 * come, because the network failed, time was up or the caller gave up, it rejects with a `NetworkError`. After either it is not
 * known whether something was written: repeat the request, unless it creates something; look for that first.
 */
export function createClient({ baseUrl, token, fetch }: ClientOptions): Client {
  const client: Client = createFetchClient({ baseUrl, ...(fetch && { fetch }) });
  client.use({
    async onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      return request;
    },
    async onResponse({ response }) {
      if (response.status === 204 || response.status === 304) {
        return;
      }
      // Proxies add a charset, and write the type in their own way.
      const type = response.headers.get("Content-Type")?.split(";", 1)[0]?.trim().toLowerCase();
      if (type !== "application/json") {
        throw new ForeignError(response);
      }
      const text = await response.clone().text().catch((cause: unknown) => {
        throw new NetworkError(cause); // it was cut off
      });
      let body: Partial<ErrorResponse> | null;
      try {
        body = JSON.parse(text);
      } catch (cause) {
        throw new ForeignError(response, { cause });
      }
      if (!response.ok && typeof body?.error?.code !== "string") {
        throw new ForeignError(response);
      }
    },
    onError({ error }) {
      return new NetworkError(error);
    },
  });
  return client;
}
