// In milliseconds. The waits of callers that were refused at the same moment differ: by up to half of the pause, which doubles.
const firstPause = 500;
const maxRetryAfter = 30_000;
const maxTimer = 2 ** 31 - 1;

type Send = (request: Request) => Promise<Response>;

/**
 * Sends a request again, at most `retries` times, when the answer is 429 or 503 with a `Retry-After` of at most 30 seconds. The API
 * writes nothing before these. Of anybody else's answer nobody knows that, so only reads are sent again after it.
 */
export function retrying(send: Send, retries: number): Send {
  return async (request) => {
    for (let n = 0, pause = firstPause; ; n++, pause *= 2) {
      if (n >= retries || request.headers.get("Accept") === "text/event-stream") { // follow connects again
        return send(request);
      }
      const isRead = ["GET", "HEAD"].includes(request.method);
      const again = isRead ? request : request.clone(); // a body can be sent once
      const response = await send(request);
      if (![429, 503].includes(response.status) || !response.headers.has("Retry-After") || !(isRead || (await isOwn(response)))) {
        return response;
      }
      const wait = retryAfterOf(response);
      if (wait > maxRetryAfter) {
        return response;
      }
      await response.body?.cancel();
      await sleep(wait + (pause / 2) * (1 + Math.random()), request.signal);
      request.signal.throwIfAborted();
      request = again;
    }
  };
}

/** Whether an answer is an error of the API, in either form. */
async function isOwn(response: Response): Promise<boolean> {
  try {
    const body = await response.clone().json();
    return typeof (body?.error?.code ?? body?.code) === "string";
  } catch {
    return false;
  }
}

/** The milliseconds that an answer asks to wait for. */
export function retryAfterOf({ headers }: Response): number {
  const text = headers.get("Retry-After") ?? "";
  const wait = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return wait > 0 ? wait : 0;
}

/** Resolves after a time, or when the signal is aborted. */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(milliseconds, maxTimer));
    signal?.addEventListener("abort", done);
    if (signal?.aborted) {
      done();
    }
  });
}
