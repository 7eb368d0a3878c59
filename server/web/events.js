/** What happens elsewhere: other people answer, the store is solved again, the server ends. */

/**
 * Listen to the server.
 * @param {Object<string, (data: any) => void>} handlers by the name of the event; `lost` where the connection breaks
 */
export function listen(handlers) {
  const source = new EventSource("/api/events");
  for (const [name, handler] of Object.entries(handlers)) {
    if (name !== "lost") source.addEventListener(name, (event) => handler(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  }
  source.addEventListener("error", () => handlers.lost?.(null));
  window.addEventListener("pagehide", () => source.close());
  return source;
}
