/**
 * An answer that is on its way is also kept in the browser, until the server says that it is on the disk. What a crash
 * leaves there is offered again; the answer's key keeps it from being written twice.
 */

/** @typedef {{path: string, body: any, told: string, at: number}} Pending */

const OLD_MS = 5_000;

export class PendingAnswers {
  /**
   * @param {string} where what is reviewed and by whom; answers to other questions are not offered here
   * @param {string} client the tab
   */
  constructor(where, client, storage = window.localStorage) {
    this.storage = storage;
    this.prefix = `trackdb-review-pending:${where}:`;
    this.own = this.prefix + client;
  }

  /** Keep an answer; where the browser keeps nothing, the page still says that it is not saved. */
  keep(/** @type {string} */ path, /** @type {any} */ body, /** @type {string} */ told) {
    try {
      this.storage.setItem(this.own, JSON.stringify({ path, body, told, at: Date.now() }));
    } catch {
      // storage is full or forbidden
    }
  }

  /** Forget the answer of this tab, and one that was taken over from another. */
  drop(/** @type {string | undefined} */ name) {
    this.storage.removeItem(this.own);
    if (name) this.storage.removeItem(name);
  }

  /** Return what an earlier visit left: of this tab, or of one that has been silent for a while. @returns {(Pending & {name: string}) | null} */
  left() {
    const names = Object.keys(this.storage).filter((name) => name.startsWith(this.prefix));
    for (const name of names.sort()) {
      try {
        const kept = JSON.parse(this.storage.getItem(name) ?? "");
        if (name === this.own || Date.now() - kept.at > OLD_MS) return { ...kept, name };
      } catch {
        this.storage.removeItem(name);
      }
    }
    return null;
  }
}
