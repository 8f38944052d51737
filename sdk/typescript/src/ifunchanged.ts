import { ApiError } from "./error.js";

/**
 * The header that makes a write depend on what was read: if the object has changed since, the write fails with `precondition_failed`.
 * `read` is any answer with the object, also that of an earlier write.
 *
 * ```ts
 * const { response } = await client.GET("/clients/{client_id}/apps/{app_id}", { params: { path } });
 * await client.PATCH("/clients/{client_id}/apps/{app_id}", { params: { path, header: ifUnchanged(response) }, body });
 * ```
 *
 * It throws a `TypeError` for an answer without a strong entity tag, such as a list or a token.
 */
export function ifUnchanged(read: Response): { "If-Match": string } {
  const tag = read.headers.get("ETag");
  if (!tag || tag.startsWith("W/")) {
    throw new TypeError("The answer that was read has no strong entity tag");
  }
  return { "If-Match": tag };
}

/** Each attempt but the last has failed because somebody else's write succeeded. */
const maxAttempts = 20;

/**
 * Calls `attempt`, which reads an object and writes it with `ifUnchanged`, until no other write has come in between. It gives up after twenty
 * attempts, with `precondition_failed`, and after any other error. `attempt` has to throw errors, as `unwrap` does.
 */
export async function readModifyWrite<Written>(attempt: () => Promise<Written>): Promise<Written> {
  for (let n = 1; ; n++) {
    try {
      return await attempt();
    } catch (e) {
      if (n === maxAttempts || !(e instanceof ApiError) || e.code !== "precondition_failed") {
        throw e;
      }
    }
  }
}
