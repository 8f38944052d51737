import type { Client } from "./client.js";
import { ApiError, type ErrorResponse, ForeignError, NetworkError } from "./error.js";
import type { operations } from "./schema.js";

/** A row of an export of apps. `importApps` takes such rows, too: one on each line, as JSON. */
export interface AppRow {
  canonical_name: string;
  is_favorite: boolean;
  is_approved: boolean;
  license_count: number | null;
}

/** A row of an export of the catalog. `importCatalog` takes such rows, too: one on each line, as JSON. */
export interface CatalogRow {
  canonical_name: string;
  description: string | null;
  display_colour: string | null;
  logo: string | null;
  type: string | null;
  vendor: string | null;
  vendor_url: string | null;
  categories: string[];
  url_patterns: string[];
  desktop_aliases: string[];
}

export interface ExportOptions<Query> {
  /** Filters and order, as of the list. Without it: all rows by name. */
  query?: Query;
  /** Ends the export with a `NetworkError`. */
  signal?: AbortSignal;
}

type Query<Operation extends "exportApps" | "exportCatalog"> = NonNullable<operations[Operation]["parameters"]["query"]>;

/** In milliseconds: how long an export may send nothing. The server may have to look at many rows to find one that matches. */
const maxIdle = 120_000;

/**
 * Yields the apps of a client that match, as they were at one moment. Rows are read when they are asked for. The server waits for a slow
 * reader, but not for long: see docs/limits.md.
 *
 * ```ts
 * for await (const app of exportApps(client, { clientId, query: { is_approved: false } })) …
 * ```
 *
 * When the export breaks, or sends nothing for two minutes, the loop ends with a `NetworkError`: what came without one is all. A refusal
 * is thrown as an `ApiError`.
 */
export function exportApps(
  client: Client,
  { clientId: client_id, query = {}, signal }: ExportOptions<Query<"exportApps">> & { clientId: string },
): AsyncGenerator<AppRow, void, undefined> {
  const params = { path: { client_id }, query };
  return rows((options) => client.GET("/clients/{client_id}/apps/export", { params, ...options }), signal);
}

/** Yields the catalog apps that match, as `exportApps` does for the apps of a client. */
export function exportCatalog(
  client: Client,
  { query = {}, signal }: ExportOptions<Query<"exportCatalog">> = {},
): AsyncGenerator<CatalogRow, void, undefined> {
  return rows((options) => client.GET("/catalog-apps/export", { params: { query }, ...options }), signal);
}

interface RequestOptions {
  headers: { Accept: "application/x-ndjson" };
  parseAs: "stream";
  signal: AbortSignal;
}

type Answer = { data?: ReadableStream<Uint8Array> | null; error?: unknown; response: Response };

async function* rows<Row>(
  send: (options: RequestOptions) => Promise<Answer>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Row, void, undefined> {
  const connection = new AbortController();
  const abort = () => connection.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) {
    abort();
  }
  const cut = () => connection.abort(new DOMException("Nothing came for two minutes", "TimeoutError"));
  let idleTimer = setTimeout(cut, maxIdle);
  try {
    const headers = { Accept: "application/x-ndjson" } as const;
    const { data, error, response } = await send({ headers, parseAs: "stream", signal: connection.signal });
    if (!response.ok) {
      throw new ApiError(response, error as ErrorResponse | undefined);
    }
    if (!data) {
      throw new ForeignError(response);
    }
    for await (const line of lines(data, connection.signal)) {
      clearTimeout(idleTimer); // the caller may take its time
      yield JSON.parse(line);
      idleTimer = setTimeout(cut, maxIdle);
    }
  } finally {
    clearTimeout(idleTimer);
    signal?.removeEventListener("abort", abort);
    connection.abort();
  }
}

async function* lines(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const close = () => void reader.cancel().catch(() => undefined); // fetch does not always close the connection when it is aborted
  signal.addEventListener("abort", close);
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new NetworkError(signal.aborted ? signal.reason : cause);
    });
    if (signal.aborted) {
      throw new NetworkError(signal.reason); // a reader that is canceled seems to be at the end
    }
    if (done) {
      break;
    }
    const whole = (text + decoder.decode(value, { stream: true })).split("\n");
    text = whole.pop() ?? "";
    yield* whole;
  }
  if (text !== "") {
    throw new NetworkError(new TypeError("The export ends within a row"));
  }
}
