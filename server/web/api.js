/** What the page asks the server, and what a refusal is: nothing here touches the page. */

const LONGEST_MS = 20_000;

/** The server, or the way to it, said no. */
export class Refused extends Error {
  /**
   * @param {number} status 0 where no reply came
   * @param {string} code
   * @param {string} message fit to be shown
   * @param {any} body
   * @param {number} retryMs when to try again by itself
   */
  constructor(status, code, message, body = null, retryMs = 1000) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = body;
    this.retryMs = retryMs;
  }

  /** The store is in use for a moment: the same request will do later. */
  get passing() {
    return this.status === 423 || this.status === 503;
  }
}

/** Return a name that nothing else has; also where the page is not served from this machine. */
export function unique() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Return the JSON of an address. */
export const get = async (/** @type {string} */ path) => (await asked(path)).json();

/** Return the JSON that answers a body. */
export async function post(/** @type {string} */ path, /** @type {any} */ body) {
  const reply = await asked(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return reply.json();
}

/** Return a crop: its numbers, its shape, and its limits of contrast. */
export async function getCrop(cell, t, channel, depth) {
  const query = new URLSearchParams({ view: depth, ...(channel ? { channel } : {}) });
  const reply = await asked(`/api/crop/${cell}/${t}?${query}`);
  const numbers = (name) => (reply.headers.get(name) ?? "").split(",").map(Number);
  const [height, width] = numbers("X-Shape");
  const [low, high] = numbers("X-Range");
  const z = reply.headers.get("X-Z");
  return { width, height, pixels: new Uint16Array(await reply.arrayBuffer()), range: { low, high }, z: z === null ? null : Number(z) };
}

async function asked(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...options, signal: AbortSignal.timeout(LONGEST_MS) });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    const why = late ? `no reply within ${LONGEST_MS / 1000} s` : "the server cannot be reached; is trackdb review still running?";
    throw new Refused(0, "unreachable", why);
  }
  if (reply.ok) return reply;
  const text = await reply.text().catch(() => "");
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // the guard answers in plain text
  }
  const wait = body?.error?.retry_ms ?? 1000 * Number(reply.headers.get("Retry-After") ?? 1);
  const told = reply.status === 403 ? `open the address that the terminal printed (${text.slice(0, 200)})` : text.slice(0, 200);
  throw new Refused(reply.status, body?.error?.code ?? "refused", body?.error?.message ?? told, body, wait);
}
