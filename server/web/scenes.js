/** Scenes and their crops, each asked for once and kept for a while, so that the next question is there at once. */

import { get, getCrop } from "./api.js";

const KEPT = 12;

/** @typedef {{cell: number, frame: number, ndim: number, images: boolean, masks: boolean, window: any, frames: {t: number, cells: any[]}[]}} Scene */

export class Scenes {
  constructor() {
    /** @type {Map<string, Promise<any>>} the one used longest ago first */
    this.kept = new Map();
  }

  /** Return the scene of a cell. @returns {Promise<Scene>} */
  scene(/** @type {number} */ cell) {
    return this.once(`${cell}`, () => get(`/api/scene/${cell}`));
  }

  /** Return the crops of a scene by their frames; those that cannot be had are left out. */
  crops(/** @type {Scene} */ scene, /** @type {string | null} */ channel, /** @type {string} */ depth) {
    if (!scene.images) return Promise.resolve(new Map());
    return this.once(`${scene.cell} ${channel} ${depth}`, async () => {
      const found = await Promise.allSettled(scene.frames.map(({ t }) => getCrop(scene.cell, t, channel, depth)));
      if (found.every(({ status }) => status === "rejected")) throw /** @type {any} */ (found[0]).reason;
      const crops = new Map();
      found.forEach((result, place) => result.status === "fulfilled" && crops.set(scene.frames[place].t, result.value));
      return crops;
    });
  }

  /** Ask for what is likely to be needed next; what fails is asked for again when it is needed. */
  async ahead(/** @type {number[]} */ cells, /** @type {string | null} */ channel, /** @type {string} */ depth) {
    for (const cell of cells) {
      try {
        await this.crops(await this.scene(cell), channel, depth);
      } catch {
        return;
      }
    }
  }

  once(name, ask) {
    const kept = this.kept.get(name) ?? ask();
    this.kept.delete(name);
    this.kept.set(name, kept);
    kept.catch(() => this.kept.delete(name));
    for (const oldest of [...this.kept.keys()].slice(0, Math.max(0, this.kept.size - 2 * KEPT))) this.kept.delete(oldest);
    return kept;
  }

  /** Forget everything: the store was solved again, or changed. */
  clear() {
    this.kept.clear();
  }
}
