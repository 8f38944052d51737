import type { components } from "./schema.js";

/** What a failed request resolves to as `error`, whatever the operation. */
export type ErrorResponse = components["schemas"]["Error"];
export type ErrorCode = components["schemas"]["ErrorCode"];
export type ErrorDetails = components["schemas"]["ErrorDetails"];

/** An error of the API, thrown by `unwrap` and `walk`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** What kind of error it is; `undefined` only for 304, which is no error but has no data. */
  readonly code: ErrorCode | undefined;
  /** What the error is about, such as `details.field`. */
  readonly details: ErrorDetails | undefined;
  /** Names the request in the server's log. */
  readonly requestId: string | undefined;
  readonly response: Response;

  constructor(response: Response, body?: ErrorResponse) {
    super(body?.error.message ?? `No data: ${response.status} ${response.statusText}`);
    this.status = response.status;
    this.code = body?.error.code;
    this.details = body?.error.details;
    this.requestId = response.headers.get("X-Request-Id") ?? undefined;
    this.response = response;
  }
}

/**
 * An answer that is not the API's: something between has answered, such as a proxy whose server is away. `cause` is why its
 * body is no JSON, where it says that it is.
 */
export class ForeignError extends Error {
  override readonly name = "ForeignError";
  readonly status: number;
  readonly response: Response;

  constructor(response: Response, options?: ErrorOptions) {
    super(`Not the API's answer: ${response.status} ${response.statusText}`, options);
    this.status = response.status;
    this.response = response;
  }
}

/**
 * No whole answer has come. `cause` is what `fetch` rejected with: a `TypeError` when the network failed, an `AbortError` or a
 * `TimeoutError` when the request's signal ended it.
 */
export class NetworkError extends Error {
  override readonly name = "NetworkError";

  constructor(cause: unknown) {
    super(`No answer: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** What a method of the client resolves to. */
export type Result<Data> =
  | { data: Data; error?: never; response: Response }
  | { data?: never; error: ErrorResponse; response: Response };

/** Resolves to the data of a request, or rejects with an `ApiError`. */
export async function unwrap<Data>(request: Promise<Result<Data>>): Promise<Data> {
  const { data, error, response } = await request;
  if (!response.ok) {
    throw new ApiError(response, error || undefined);
  }
  return data as Data;
}
