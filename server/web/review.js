/** A review as one person sees it: a question on the screen, how it is looked at, and what is said about it. */

import { Refused, get, post } from "./api.js";
import { Answering } from "./answering.js";
import { isDialogOpen } from "./dialogs.js";
import { byId, html, keyCap } from "./dom.js";
import { sayNoEffect, showEffect } from "./effect.js";
import { showLegend } from "./help.js";
import { KeyMap, LOOKING } from "./keys.js";
import { drawLineage } from "./lineage.js";
import { percent } from "./marks.js";
import { highlight, showOutcomes } from "./outcomes.js";
import { PendingAnswers } from "./pending.js";
import { showQueue } from "./queue.js";
import { Scenes } from "./scenes.js";
import { clearStage, drawStage, firstLook } from "./stage.js";
import { clearNotice, isNoticed, notify, say, showProgress } from "./status.js";

const EFFECT_AFTER_MS = 120;
const FRAME_MS = 350;
const SLOW_AFTER_MS = 150;
/** Why a key is refused while the page is in a phase. @type {Object<string, string>} */
const NOT_YET = { saving: "the answer before is on its way", loading: "this question is not drawn yet" };

export class Review {
  constructor(client, session) {
    this.client = client;
    this.session = session;
    this.state = session;
    this.keys = new KeyMap(session.keys);
    this.scenes = new Scenes();
    this.look = { ...firstLook(), channel: session.channels?.[0] ?? null };
    const where = [session.store, session.dataset, session.solution, session.who].join("|");
    this.answering = new Answering(new PendingAnswers(where, client), {
      phase: (name) => this.phase(name),
      saved: (reply, told) => this.saved(reply, told),
      reload: () => this.reload(),
      free: () => this.free(),
    });
    /** Cells in the order in which they were on the screen, and the place of the one that is. */
    this.visited = [];
    this.place = -1;
    this.picked = -1;
    this.shownAt = 0;
    this.turn = 0;
    /** What happened elsewhere while an answer was on its way. */
    this.news = null;
    /** @type {Object<string, () => void>} what keys and buttons do */
    this.actions = {};
  }

  get question() {
    return this.state.question;
  }

  phase(name) {
    document.body.dataset.phase = name;
    clearTimeout(this.slowly);
    delete document.body.dataset.slow;
    // what is over in a moment is not painted twice
    if (NOT_YET[name]) this.slowly = setTimeout(() => (document.body.dataset.slow = "true"), SLOW_AFTER_MS);
  }

  get isFree() {
    return document.body.dataset.phase === "ready";
  }

  /** Let the person answer what is on the screen. */
  free() {
    this.phase(this.question ? "ready" : "end");
    // the focus stays where a person put it; only what has gone hands it on
    if (document.activeElement === document.body && !isNoticed() && !isDialogOpen()) byId("outcomes").focus({ preventScroll: true });
    const { news } = this;
    this.news = null;
    if (news && !(news.n_entries <= this.state.n_entries)) this.heard(news);
  }

  /** Show a state: its question with pictures, then what may come a moment later. */
  async show(state) {
    const turn = ++this.turn;
    const before = this.question?.cell;
    this.state = state;
    this.scene = null;
    this.phase("loading");
    const question = state.question;
    const pictures = question ? this.pictures(question.cell) : null;
    pictures?.catch(() => {}); // it is awaited below
    if (question && question.cell !== before) this.look = { ...this.look, offset: 0, swapped: false };
    this.stop();
    this.showAround();
    if (!question) return this.showEnd(state.why);
    this.showQuestion(question);
    try {
      const [scene, crops] = await /** @type {Promise<any>} */ (pictures);
      if (turn !== this.turn) return;
      this.scene = scene;
      this.crops = crops;
      this.draw();
    } catch (error) {
      if (turn !== this.turn) return;
      clearStage();
      notify({ title: "No pictures", text: String(error.message ?? error), buttons: [{ name: "Try again", does: () => { clearNotice(); this.show(this.state); } }] });
    }
    await painted();
    if (turn !== this.turn) return;
    this.shownAt = performance.now();
    this.visit(question.cell);
    document.body.dataset.cell = String(question.cell);
    document.body.dataset.turn = String(turn);
    this.free();
    this.later(turn, question);
  }

  /** What the person need not wait for. */
  async later(turn, question) {
    this.showEffectSoon();
    this.scenes.ahead(this.state.next, this.look.channel, this.look.depth);
    try {
      const lineage = await get(`/api/lineage/${question.cell}`);
      if (turn === this.turn) {
        this.lineage = lineage;
        this.drawTree();
      }
    } catch (error) {
      if (turn === this.turn) byId("tree").replaceChildren();
    }
  }

  async pictures(cell) {
    const scene = await this.scenes.scene(cell);
    return [scene, await this.scenes.crops(scene, this.look.channel, this.look.depth)];
  }

  showAround() {
    showProgress(this.state.progress);
    showQueue(byId("queue"), this.state, this.session.who, (cell) => this.goTo(cell));
    if (this.state.progress.stop_offered && !this.offered) {
      this.offered = true;
      notify({ title: "You may stop here", text: "The last 30 answers all agreed with the solver.", buttons: [{ name: "Go on", does: clearNotice }], focus: false });
    }
  }

  showQuestion(question) {
    const { cell, frame, blind, entropy_bits: bits, outcomes } = question;
    const told = [
      blind ? "blind: no ★, no percentages" : null,
      this.session.images ? null : `no images in this store: ${this.session.masks ? "outlines" : "positions"} only`,
      bits === null ? null : `uncertainty ${bits.toFixed(2)} bit`,
      `question ${question.number}`,
      question.answers.length ? `answered already: ${question.answers.map(({ text, who }) => `${text} (${who})`).join("; ")}` : null,
    ];
    byId("question").replaceChildren(
      `Cell ${cell}: frame ${frame} → ${frame + 1}`,
      html("span", { class: "dim" }, told.filter(Boolean).join(" · ")),
    );
    showOutcomes(byId("outcomes"), question, {
      keyOf: (place) => this.keys.shown(`outcome-${place + 1}`),
      choose: (place) => this.run(`outcome-${place + 1}`),
      look: (place) => this.showEffectSoon(place ?? this.picked),
    });
    const star = outcomes.some(({ chosen }) => chosen) ? "★ is the solver's answer" : null;
    byId("rest").textContent = [question.others ? `all others: ${percent(question.others)}` : null, star].filter(Boolean).join(" · ");
    byId("effect-title").textContent = "Effect";
    sayNoEffect(byId("effect"), "");
    this.pick(outcomes.findIndex(({ chosen }) => chosen), false);
    this.showLegend();
  }

  showEnd(why) {
    const text = why === "limit" ? "This sitting has as many answers as you asked for." : "No question is open.";
    byId("question").textContent = why === "limit" ? "Enough for now" : "Nothing left to ask";
    byId("outcomes").replaceChildren();
    byId("rest").textContent = `${text} Undo still takes answers back; the list and Go still open any cell.`;
    sayNoEffect(byId("effect"), "");
    byId("tree").replaceChildren();
    clearStage();
    document.body.dataset.cell = "";
    document.body.dataset.turn = String(this.turn);
    this.free();
  }

  draw() {
    if (!this.scene) return;
    drawStage({
      question: this.question,
      scene: this.scene,
      crops: this.crops,
      picked: this.question.outcomes[this.picked],
      look: this.look,
      go: (offset) => this.lookAt({ offset: Math.max(-2, Math.min(2, offset)) }),
    });
  }

  drawTree() {
    if (this.lineage && this.question) drawLineage(/** @type {any} */ (byId("tree")), this.lineage, this.question.frame);
  }

  /** Change how the pictures are looked at. */
  lookAt(change) {
    this.look = { ...this.look, ...change };
    this.draw();
  }

  pick(place, redraw = true) {
    this.picked = place;
    highlight(byId("outcomes"), place, redraw);
    if (!redraw) return;
    this.draw();
    this.showEffectSoon();
  }

  /** Ask for the effect of an outcome when the person stays with it for a moment. */
  showEffectSoon(place = this.picked) {
    clearTimeout(this.effectTimer);
    const outcome = this.question?.outcomes[place];
    byId("effect-title").textContent = outcome ? `Effect of choosing ${place + 1}` : "Effect";
    const target = byId("effect");
    if (this.question?.blind) return sayNoEffect(target, "Not shown: this question is blind.");
    if (!outcome) return sayNoEffect(target, `Highlight an outcome (${this.keys.shown("up")} ${this.keys.shown("down")}) to see what it changes.`);
    const turn = this.turn;
    this.effectTimer = setTimeout(async () => {
      try {
        const preview = await post("/api/preview", { client: this.client, cell: this.question.cell, kind: "choose", daughters: outcome.daughters });
        if (turn === this.turn) showEffect(target, preview);
      } catch (error) {
        if (turn === this.turn) sayNoEffect(target, error.message);
      }
    }, EFFECT_AFTER_MS);
  }

  /** Do what a key or a button stands for. */
  run(name) {
    const action = this.actions[name] ?? (name.startsWith("outcome-") ? () => this.choosePlace(Number(name.slice(8)) - 1) : null);
    if (!action) return;
    if (!LOOKING.has(name)) {
      const phase = document.body.dataset.phase ?? "";
      // who types ahead must see that a key was lost: else the next one answers a question that he takes for another
      if (NOT_YET[phase]) return say(`key not taken: ${NOT_YET[phase]}`, "bad");
      if (!this.isFree && !(phase === "end" && ["undo", "redo", "go", "queue", "tree", "changes"].includes(name))) return;
      clearNotice();
    }
    action();
  }

  choosePlace(place) {
    const outcome = this.question?.outcomes[place];
    if (outcome) this.decide("choose", outcome.daughters);
  }

  accept(place) {
    if (place >= 0) this.choosePlace(place);
    else if (this.question.blind) say("blind question: choose by number, or highlight an outcome first", "busy");
    else say("the solver has no answer here: choose by number, or highlight an outcome first", "busy");
  }

  /** Send an answer about the question on the screen. */
  decide(kind, daughters, note = null) {
    if (!this.isFree) return;
    const { cell, blind, outcomes } = this.question;
    const body = {
      client: this.client,
      cell,
      kind,
      daughters,
      n_seen: this.state.n_entries,
      revision: this.state.revision,
      blind,
      shown: blind ? null : outcomes.map((outcome) => [outcome.daughters, outcome.probability]),
      ms: Math.round(performance.now() - this.shownAt),
      note,
      resolve: null,
    };
    this.answering.send("/api/decisions", body, toldOf(kind, cell, daughters));
  }

  takeBack(which) {
    const able = which === "undo" ? this.state.progress.can_undo : this.state.progress.can_redo;
    if (!able) return say(which === "undo" ? "there is nothing of yours to undo" : "there is nothing to redo", "busy");
    this.answering.send(`/api/${which}`, { client: this.client }, which);
  }

  /** Go on with what the server sent after an answer. */
  saved(reply, told) {
    const { saved, undone, redone, settled, repeated } = reply;
    if (saved) {
      const more = settled ? ` · ${settled} more settled` : "";
      say(`✓ saved #${saved.seq}${repeated ? ", once" : ""}${more}`);
    } else if (undone) say(`✓ undone #${undone.seq}`);
    else if (redone) say(`✓ given again #${redone.seq}`);
    else say(`✓ saved: ${told}`);
    if (saved?.kind === "flag" && saved.cell !== reply.question?.cell) return this.goTo(saved.cell);
    this.show(reply);
  }

  /**
   * Ask for a question and show it; the screen stays as it is where that fails.
   * @param {Object<string, string | number>} query
   * @param {string} why said once it is there
   * @param {boolean} elseNext ask for the next one where there is no such cell
   */
  async ask(query, why = "", elseNext = false) {
    this.phase("loading");
    try {
      const state = await get(`/api/question?${new URLSearchParams({ client: this.client, ...query })}`);
      if (why) say(why, "busy");
      await this.show(state);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.passing) {
        say(error.message, "busy");
        setTimeout(() => this.ask(query, why, elseNext), error.retryMs);
        return;
      }
      if (elseNext && error.code === "unknown_cell") return this.ask({}, why);
      say(error.message, "bad");
      this.free();
    }
  }

  reload(why = "") {
    return this.ask(this.question ? { cell: this.question.cell } : {}, why, true); // newer detections may lack the cell
  }

  goTo(cell) {
    return this.ask({ cell });
  }

  visit(cell) {
    if (this.visited[this.place] === cell) return;
    this.visited.splice(++this.place, Infinity, cell);
  }

  previous() {
    if (this.place < 1) return say("there is no question before", "busy");
    this.place -= 1;
    return this.goTo(this.visited[this.place]);
  }

  /** Somebody else answered, or this person did in another tab. */
  heard(event) {
    if (!["ready", "end", "loading"].includes(document.body.dataset.phase)) {
      this.news = event;
      return;
    }
    this.news = null;
    if (event.reload) this.scenes.clear();
    if (event.reload || event.touched.includes(this.question?.cell) || !this.question) this.reload(event.why);
    else this.freshen(event.why);
  }

  /** Take over the numbers around the question, which itself stays as it is. */
  async freshen(why) {
    const turn = this.turn;
    try {
      const state = await get(`/api/question?${new URLSearchParams({ client: this.client, cell: String(this.question.cell) })}`);
      if (turn !== this.turn || !this.isFree) return;
      this.state = { ...state, question: this.question };
      this.showAround();
      say(why, "busy");
    } catch {
      // the next answer tells what is wrong
    }
  }

  play() {
    if (this.playing) return this.stop();
    const next = () => this.lookAt({ offset: this.look.offset >= 2 ? -2 : this.look.offset + 1 });
    // who wants no motion goes on frame by frame
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) return next();
    this.playing = setInterval(next, FRAME_MS);
  }

  stop() {
    if (!this.playing) return;
    clearInterval(this.playing);
    this.playing = null;
    this.lookAt({ offset: 0 });
  }

  async turnDepth() {
    if (this.scene?.ndim !== 3) return say("this movie is flat", "busy");
    this.look = { ...this.look, depth: this.look.depth === "max" ? "slice" : "max" };
    const turn = this.turn;
    const crops = await this.scenes.crops(this.scene, this.look.channel, this.look.depth).catch((error) => say(error.message, "bad"));
    if (!crops || turn !== this.turn) return;
    this.crops = crops;
    this.draw();
  }

  showLegend() {
    showLegend(byId("legend"), this.keys, Boolean(this.question?.outcomes.some(({ chosen }) => chosen)));
  }

  /** Show the keys as they are now. */
  showKeys() {
    for (const button of document.querySelectorAll("[data-action]")) {
      button.querySelector("kbd")?.remove();
      const key = this.keys.shown(button.getAttribute("data-action") ?? "");
      if (key) button.append(" ", keyCap(key));
    }
    this.showLegend();
    if (this.question) {
      [...byId("outcomes").querySelectorAll(".key")].forEach((cap, place) => (cap.textContent = this.keys.shown(`outcome-${place + 1}`) || "·"));
    }
  }
}

/** Return in words what an answer says. */
function toldOf(kind, cell, daughters) {
  const chosen = (daughters ?? []).join(" and ");
  const words = {
    choose: !daughters?.length ? "ends" : daughters.length > 1 ? `divides into ${chosen}` : `goes on as ${chosen}`,
    reject: "goes on as none of the candidates",
    not_a_cell: "is no cell",
    segmentation: "has a wrong outline",
    unsure: "cannot be told",
    flag: "is flagged",
  };
  return `cell ${cell} ${words[kind] ?? kind}`;
}

/** Wait until what was drawn is on the screen; a page in the background paints nothing, and is not waited for. */
function painted() {
  return new Promise((done) => {
    if (document.visibilityState === "hidden") return done(null);
    requestAnimationFrame(() => setTimeout(done, 0));
  });
}
