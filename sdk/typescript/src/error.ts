import type { components } from "./schema.js";

/** The `error` of a failed request, the same for every operation. */
export type ErrorResponse = components["schemas"]["Error"];
export type ErrorCode = components["schemas"]["ErrorCode"];
export type ErrorDetails = components["schemas"]["ErrorDetails"];

/** The same error as problem details (RFC 9457), for requests whose `Accept` names them. */
export type Problem = components["schemas"]["Problem"];

/** Gives an error that came as problem details the shape of all others. */
export function fromProblem({ code, detail: message, errors, details }: Problem): ErrorResponse {
  const all = errors ? { ...details, errors } : details;
  return { error: { code, message, ...(all && { details: all }) } };
}

/** An error of the API, thrown by `unwrap` and `walk`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** The kind of error. `undefined` only for 304, which is not an error but has no data. */
  readonly code: ErrorCode | undefined;
  /** More about the error, such as `details.field`. */
  readonly details: ErrorDetails | undefined;
  /** The id of the request in the server's log. */
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
 * An answer from something other than the API, such as a proxy whose server is down. `cause` is the parse error when the answer
 * claims to be JSON and is not.
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
 * No complete answer arrived. `cause` is the error of `fetch`: a `TypeError` when the network failed, an `AbortError` or a
 * `TimeoutError` when the request's signal ended it.
 */
export class NetworkError extends Error {
  override readonly name = "NetworkError";

  constructor(cause: unknown) {
    super(`No answer: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** The result of a method of the client. */
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
