// Asking the gateway again and again, and not while nobody looks.

const EVERY = 1000; // milliseconds
const SLOWER = 4; // an answer that takes long is asked for less often
const LIMIT = 10000;

/** get fetches JSON from this gateway. An error has the gateway's own words. */
export async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ?? `the gateway answers ${answer.status}`);
  return body;
}

/**
 * poll calls take with each answer to path, and tell with "live", "lost" or "paused". A
 * hidden page asks nothing.
 */
export function poll(path, take, tell) {
  let timer = 0;
  let asking = false;

  async function ask() {
    if (asking) return;
    asking = true;
    const began = performance.now();
    try {
      const answer = await get(path);
      if (!document.hidden) tell("live");
      await take(answer);
    } catch (err) {
      tell("lost", err);
    }
    asking = false;
    const took = performance.now() - began;
    if (!document.hidden) timer = setTimeout(ask, Math.max(EVERY - took, took * SLOWER, 50));
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) tell("paused");
    else ask();
  });
  if (document.hidden) tell("paused");
  else ask();
}
