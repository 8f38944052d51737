import { type Result, unwrap } from "./error.js";

/** A page of any list. */
export interface Page<Row> {
  data: Row[];
  next_cursor: string | null;
}

/**
 * Goes through all rows of a list and fetches a page when it is needed. `fetchPage` gets what the query of each page needs
 * to name it: nothing for the first, then the cursor. A failure is thrown as an `ApiError`.
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
