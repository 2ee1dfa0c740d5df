// SPDX-License-Identifier: Apache-2.0
// A participant of a mesh driven over the control link: a generated leg with a termination, which
// gives the media centre the slots that it asks for, and follows what it is told of them.
import { GeneratedLeg } from './generated-leg.mjs';

const EVENTS = ['negotiationNeeded', 'activeSpeaker', 'sourceChanged'];
export const SPEECH = 25;
export const SILENCE = 127;

export class MeshParticipant {
  /** Slots by mid: the source as told last; audio and video. */
  sources = {};
  /** `details` of every activeSpeaker that came. */
  speakers = [];
  /** How often slots were asked for. */
  asked = 0;
  /** The template that was told last. */
  template = undefined;
  ssrcs = {};
  #steps = Promise.resolve();

  /**
   * @param link ControlLink
   * @param add members of `add` besides (contextId, mesh, events …)
   * @param options of GeneratedLeg.answer(), `slots`: m-lines that it takes of each type; `beside`:
   *   a leg in whose process its own lives; `busy`: it gives no slots before grow() is called
   */
  static async join(link, add = {}, { slots = 7, beside, busy = false, ...options } = {}) {
    const one = new MeshParticipant();
    one.busy = busy;
    one.link = link;
    one.leg = new GeneratedLeg(beside);
    one.options = { bind: '192.0.2.10', levels: true, bitrate: 40_000, fps: 5, packetSize: 400,
      lines: [...Array(slots).fill('audio'), ...Array(slots).fill('video')], ...options };
    const medias = [{ mediaType: 'audio' }, { mediaType: 'video', codecs: ['VP8'] }];
    const added = await link.request('add', { topology: 'mesh', events: EVENTS,
      offerTemplate: { medias, bundle: true }, mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }], ...add });
    if (!added.success) throw new Error(JSON.stringify(added.problemDetails));
    ({ contextId: one.contextId, terminationId: one.terminationId } = added);
    link.watchers.push((message) => one.#hear(message));
    await one.#answer(added.sdpOffer);
    const { send } = await one.leg.until((s) => s.send.length >= 2);
    for (const { kind, ssrc } of send)
      one.ssrcs[kind] ??= ssrc;
    return one;
  }

  #hear(message) {
    if (message.contextId !== this.contextId || message.terminationId !== this.terminationId) return false;
    if (message.event === 'activeSpeaker') this.speakers.push(message.details);
    if (message.event === 'sourceChanged') {
      for (const { mid, source } of message.details.sources)
        this.sources[mid] = source;
    }
    if (message.event === 'negotiationNeeded') {
      this.asked++;
      this.template = message.details.offerTemplate;
      if (!this.busy) this.grow(this.template);
    }
    return this.gone;
  }

  async modify(members) {
    const reply = await this.link.request('modify',
      { contextId: this.contextId, terminationId: this.terminationId, ...members });
    if (!reply.success) throw new Error(JSON.stringify(reply.problemDetails));
    for (const { mid, source } of reply.medias)
      this.sources[mid] = source;
    return reply;
  }

  async #answer(sdpOffer) {
    return this.modify({ sdpAnswer: await this.leg.answer(sdpOffer, this.options) });
  }

  /** After what is on its way. */
  grow(offerTemplate = this.template) {
    this.#steps = this.#steps.then(() => this.#grow(offerTemplate))
      .catch((error) => { this.failure ??= error; });
  }

  async #grow(offerTemplate) {
    const { sdpOffer } = await this.modify({ offerTemplate });
    await this.#answer(sdpOffer);
  }

  /** All negotiations that were asked for are done. */
  async settled() {
    for (let before; before !== this.#steps;) {
      before = this.#steps;
      await before;
    }
    if (this.failure) throw this.failure;
  }

  /** `steps`: [[ms from now, -dBov], …], or a level from now on. */
  speak(steps) {
    return this.leg.command('speak', { index: 0, steps: typeof steps === 'number' ? [[0, steps]] : steps });
  }

  /** Received streams of a type, those that have packets. */
  async received(kind) {
    const { receive } = await this.leg.stats();
    return receive.filter((r) => r.kind === kind);
  }

  async leave() {
    await this.settled();
    this.gone = true;
    const { success } = await this.link.request('subtract',
      { contextId: this.contextId, terminationId: this.terminationId });
    if (!success) throw new Error('subtract');
    await this.leg.close();
  }
}
