/**
 * How an answer goes: the page is frozen, the answer is kept in the browser, the server writes it, and only when it says
 * that it is on the disk the page moves on. Whatever goes wrong, the question stays and the page says so.
 */

import { Refused, post, unique } from "./api.js";
import { clearNotice, notify, say } from "./status.js";

const LONGEST_WAIT_MS = 5_000;
const CHOICES = {
  replace: "Replace the earlier answer",
  keep: "Keep the earlier answer",
  unsure: "Mark both unsure",
};

/**
 * What an answer needs of the page.
 * @typedef {object} Page
 * @property {(name: string) => void} phase freeze or free the input
 * @property {(reply: any, told: string) => void} saved go on with the state that the server sent
 * @property {() => void} reload ask for the question on the screen again
 * @property {() => void} free let the person answer the question on the screen
 */

export class Answering {
  /** @param {import("./pending.js").PendingAnswers} pending @param {Page} page */
  constructor(pending, page) {
    this.pending = pending;
    this.page = page;
    /** @type {{path: string, body: any, told: string, name?: string} | null} the one on its way */
    this.sent = null;
  }

  /** Offer what an earlier visit left unconfirmed; return whether there is something. */
  offerLeft() {
    const left = this.pending.left();
    if (!left) return false;
    this.sent = left;
    this.page.phase("failed");
    say("an answer is not confirmed", "bad");
    notify({
      tone: "bad",
      title: "NOT CONFIRMED",
      text: `"${left.told}" was not confirmed as saved when this page was left. Sent again it is never written twice.`,
      buttons: [
        { name: "Send it again", does: () => this.again() },
        { name: "Discard it", does: () => this.discard() },
      ],
    });
    return true;
  }

  /** Send an answer, an undoing or a redoing. */
  send(/** @type {string} */ path, /** @type {any} */ body, /** @type {string} */ told) {
    this.sent = { path, body: { key: unique(), ...body }, told };
    return this.again();
  }

  /** Send it, also for the second time: its key is the same. */
  async again() {
    const sent = this.sent;
    if (!sent) return;
    this.pending.keep(sent.path, sent.body, sent.told);
    this.page.phase("saving");
    clearNotice();
    let reply;
    try {
      reply = await post(sent.path, sent.body);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (this.sent === sent) this.refused(sent, error);
      return;
    }
    if (this.sent === sent) this.done();
    this.page.saved(reply, sent.told);
  }

  /** Give the answer up. */
  discard() {
    this.done();
    say("not sent again; what is saved stands on the left", "busy");
    clearNotice();
    this.page.reload();
  }

  done() {
    this.pending.drop(this.sent?.name);
    this.sent = null;
  }

  refused(sent, error) {
    if (error.passing) this.wait(sent, error);
    else if (error.code === "stale") this.stale(error);
    else if (error.code === "excluded") this.excluded(sent, error);
    else if (error.status === 409 || error.status === 404) this.impossible(error);
    else this.failed(sent, error);
  }

  /** The store is in use: nothing is wrong, and the same answer is sent again by itself. */
  wait(sent, error) {
    const ms = Math.min(Math.max(100, error.retryMs), LONGEST_WAIT_MS);
    this.page.phase("busy");
    say("store busy, your answer waits", "busy");
    notify({
      title: "Store busy",
      text: `${error.message} Your answer "${sent.told}" is kept and sent again by itself.`,
      buttons: [{ name: "Discard the answer", does: () => this.discard() }],
      focus: false,
    });
    setTimeout(() => this.sent === sent && this.again(), ms);
  }

  stale(error) {
    this.done();
    this.page.phase("stale");
    say("not saved: the question has changed", "bad");
    notify({
      tone: "bad",
      title: "NOT SAVED",
      text: `${error.message} What you see no longer holds: reload the question, then answer what it shows.`,
      buttons: [{ name: "Reload the question", does: () => { clearNotice(); this.page.reload(); } }],
    });
  }

  excluded(sent, error) {
    this.done();
    this.page.phase("excluded");
    say("not saved: an earlier answer excludes this one", "bad");
    const earlier = (error.body?.earlier ?? []).map(({ seq, text, says, who }) => `#${seq} of ${who}: ${text ?? says}`).join("; ");
    const resolve = (choice) => this.send(sent.path, { ...sent.body, key: unique(), resolve: choice }, sent.told);
    notify({
      tone: "bad",
      title: "NOT SAVED",
      text: `${error.message} Earlier: ${earlier}. Yours: ${sent.told}.`,
      buttons: [
        ...(error.body?.choices ?? []).filter((choice) => choice in CHOICES).map((choice) => ({ name: CHOICES[choice], does: () => resolve(choice) })),
        { name: "Back to the question", does: () => { clearNotice(); this.page.free(); } },
      ],
    });
  }

  impossible(error) {
    this.done();
    say(`not saved: ${error.message}`, "bad");
    this.page.free();
  }

  failed(sent, error) {
    this.page.phase("failed");
    say("NOT SAVED", "bad");
    notify({
      tone: "bad",
      title: "NOT SAVED",
      text: `"${sent.told}": ${error.message} The answer is kept in this browser; sent again it is never written twice.`,
      buttons: [
        { name: "Retry", does: () => this.again() },
        { name: "Discard the answer", does: () => this.discard() },
      ],
    });
  }
}
