import type { Client } from "./client.js";
import { ApiError, type ErrorResponse, ForeignError, NetworkError } from "./error.js";
import { retryAfterOf, sleep } from "./retry.js";
import type { components } from "./schema.js";

/** A change, and the cursor behind it. Keep the cursor together with what you make of the change. */
export interface Followed {
  change: components["schemas"]["Change"];
  cursor: string;
}

export interface FollowOptions {
  /** The client whose changes to follow. Without it: all clients that the token covers. */
  clientId?: string;
  /** Where to begin: a cursor of an earlier change, or `next_cursor` of a page of changes without filters. Without it: the oldest change. */
  cursor?: string;
  /** Ends the loop, without an error. */
  signal?: AbortSignal;
}

// In milliseconds. The server sends something at least every 15 seconds.
const firstPause = 1_000;
const maxPause = 30_000;
const maxIdle = 45_000;

/**
 * Yields each change behind the cursor, and then each change when it comes. `since` in the future gets the cursor of the end:
 *
 * ```ts
 * const end = await unwrap(client.GET("/changes", { params: { query: { since: "2099-12-31T23:59:59Z" } } }));
 * for await (const { change, cursor } of follow(client, { cursor: end.next_cursor })) …
 * ```
 *
 * It reads the stream of server-sent events, and connects again, behind the last change, whenever the connection ends or cannot be
 * made, and when the answer is 429 or 5xx, whoever sent it. Before that it waits for as long as `Retry-After` says, and then for a
 * second, or twice as long after each failure in a row, up to 30 seconds. No change is missed or repeated. Any other refusal is
 * thrown: an `ApiError` such as 401, 403, 404 or 410 `cursor_expired`, or a `ForeignError`.
 */
export async function* follow(
  client: Client,
  { clientId, cursor, signal }: FollowOptions = {},
): AsyncGenerator<Followed, void, undefined> {
  let pause = firstPause;
  while (!signal?.aborted) {
    let retryAfter = 0;
    const connection = new AbortController();
    const disconnect = () => connection.abort();
    signal?.addEventListener("abort", disconnect);
    let idleTimer = setTimeout(disconnect, maxIdle);
    try {
      for await (const event of events(await open(client, clientId, cursor, connection.signal), connection.signal)) {
        clearTimeout(idleTimer); // the caller may take its time
        if (event.kind === "error") {
          break; // the next answer says with a status what is wrong
        }
        if (event.id) {
          cursor = event.id;
          pause = firstPause;
        }
        if (event.kind === "change") {
          yield { change: JSON.parse(event.data), cursor: event.id };
        }
        if (signal?.aborted) {
          return;
        }
        idleTimer = setTimeout(disconnect, maxIdle);
      }
    } catch (e) {
      if (signal?.aborted) {
        return;
      }
      if (e instanceof ApiError || e instanceof ForeignError) {
        if (e.status !== 429 && e.status < 500) {
          throw e;
        }
        retryAfter = retryAfterOf(e.response);
      } else if (!(e instanceof NetworkError)) {
        throw e;
      }
    } finally {
      clearTimeout(idleTimer);
      signal?.removeEventListener("abort", disconnect);
      disconnect();
    }
    await sleep(retryAfter + (pause / 2) * (1 + Math.random()), signal);
    pause = Math.min(2 * pause, maxPause);
  }
}

async function open(
  client: Client,
  client_id: string | undefined,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const header = cursor ? { "Last-Event-ID": cursor } : {};
  const options = { headers: { Accept: "text/event-stream" }, parseAs: "stream", signal } as const;
  const { data, error, response } = await (client_id === undefined
    ? client.GET("/changes/stream", { params: { header }, ...options })
    : client.GET("/clients/{client_id}/changes/stream", { params: { path: { client_id }, header }, ...options }));
  if (!response.ok) {
    throw new ApiError(response, error as ErrorResponse | undefined);
  }
  if (!data) {
    throw new ForeignError(response);
  }
  return data;
}

/** A server-sent event (the HTML Standard, 9.2.6). One without data is only a position: no kind. */
interface StreamEvent {
  id: string;
  kind: string;
  data: string;
}

async function* events(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<StreamEvent, void, undefined> {
  const reader = body.getReader();
  const close = () => void reader.cancel().catch(() => undefined); // fetch does not always close the connection when it is aborted
  signal.addEventListener("abort", close);
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new NetworkError(cause); // the connection broke
    });
    if (done) {
      return; // an event that has not ended is sent again
    }
    const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = blocks.pop() ?? "";
    yield* blocks.map(parse);
  }
}

function parse(block: string): StreamEvent {
  const event = { id: "", kind: "", data: "" };
  for (const line of block.split("\n")) {
    const [name, value] = [line.split(":", 1)[0], line.replace(/^[^:]*: ?/, "")];
    if (name === "id") {
      event.id = value;
    } else if (name === "event") {
      event.kind = value;
    } else if (name === "data") {
      event.data += value; // the server sends one line
    }
  }
  return event;
}
