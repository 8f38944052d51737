import { type Result, unwrap } from "./error.js";

/** A page of any list. */
export interface Page<Row> {
  data: Row[];
  next_cursor: string | null;
}

/**
 * Yields all rows of a list, and fetches each page when it is needed. `fetchPage` gets the query parameters that select its
 * page: none for the first page, then the cursor. An error of the API is thrown as an `ApiError`.
 *
 * ```ts
 * for await (const app of walk((next) =>
 *   client.GET("/clients/{client_id}/apps", { params: { path: { client_id }, query: { is_approved: true, ...next } } }),
 * )) …
 * ```
 */
export async function* walk<Row>(
  fetchPage: (next: { cursor?: string }) => Promise<Result<Page<Row>>>,
): AsyncGenerator<Row, void, undefined> {
  let next: { cursor?: string } | undefined = {};
  while (next) {
    const page: Page<Row> = await unwrap(fetchPage(next));
    yield* page.data;
    next = page.next_cursor === null ? undefined : { cursor: page.next_cursor };
  }
}
