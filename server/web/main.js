/** The review page: one question at a time, one key an answer, and nothing moves on before the server has it on disk. */

import { actionsOf, onKey } from "./actions.js";
import { get, unique } from "./api.js";
import { offerChanges } from "./changes.js";
import { byId } from "./dom.js";
import { listen } from "./events.js";
import { Review } from "./review.js";
import { notify, say, showSession } from "./status.js";

/** Return the name of this tab, which a reload keeps. */
function clientName() {
  const kept = sessionStorage.getItem("trackdb-review-client") ?? unique();
  sessionStorage.setItem("trackdb-review-client", kept);
  return kept;
}

function listenFor(/** @type {Review} */ review) {
  const news = ({ record, touched, n_entries }, what) => {
    if (n_entries <= review.state.n_entries) return;
    review.heard({ n_entries, touched: [...touched, record.cell], why: `${record.who} ${what}: ${record.text}` });
  };
  listen({
    hello: ({ n_entries, revision }) => {
      const solved = revision !== review.state.revision;
      if (solved || n_entries > review.state.n_entries) review.heard({ n_entries: solved ? Infinity : n_entries, reload: solved, touched: [review.question?.cell], why: "connected again" });
    },
    answered: (event) => news(event, "answered"),
    undone: (event) => news(event, "took back"),
    solved: ({ message }) => {
      say(message, "busy");
      offerChanges();
    },
    store: ({ message }) => review.heard({ reload: true, touched: [], why: message }),
    busy: ({ message }) => say(message, "busy"),
    free: () => say("the store is free again"),
    closing: () => say("the server has ended; start trackdb review again", "bad"),
    lost: () => review.isFree && say("no connection to the server; trying again", "bad"),
  });
}

async function begin() {
  const client = clientName();
  let session;
  try {
    session = await get(`/api/session?client=${client}`);
  } catch (error) {
    say("not connected", "bad");
    byId("question").textContent = "The review cannot be opened";
    notify({ tone: "bad", title: "Not opened", text: error.message, buttons: [{ name: "Try again", does: () => location.reload() }] });
    return;
  }
  const review = new Review(client, session);
  review.actions = actionsOf(review);
  showSession(session);
  review.showKeys();
  document.addEventListener("keydown", (event) => onKey(review, event));
  document.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest("button"));
    if (!button) return;
    // after a click Enter and Space are answers again, not a second click
    if (event.detail && !button.closest("dialog")) button.blur();
    if (button.dataset.action) review.run(button.dataset.action);
    if (document.activeElement === document.body) byId("outcomes").focus({ preventScroll: true });
  });
  new ResizeObserver(() => { review.draw(); review.drawTree(); }).observe(byId("stage"));
  await review.show(session);
  review.answering.offerLeft();
  listenFor(review);
  offerChanges();
}

begin();
