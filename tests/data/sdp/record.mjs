// SPDX-License-Identifier: Apache-2.0
// Writes the browsers' part of this corpus anew: node record.mjs chromium|firefox OUR-OFFER.sdp
// OUR-OFFER is an ICE-lite offer of sendrecv audio and video as the engine prints it. Firefox is
// driven by puppeteer-core (WebDriver BiDi), which nothing else needs: npm install --no-save it.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const launchers = {
  async chromium() {
    const { chromium } = await import('playwright-core');
    return chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
        '--disable-features=WebRtcHideLocalIpsWithMdns'],
    });
  },
  async firefox() {
    const { default: puppeteer } = await import('puppeteer-core');
    return puppeteer.launch({
      browser: 'firefox',
      executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
      headless: true,
      extraPrefsFirefox: {
        'media.navigator.streams.fake': true,
        'media.navigator.permission.disabled': true,
        'media.peerconnection.ice.obfuscate_host_addresses': false,
      },
    });
  },
};
const [, , name, offerFile] = process.argv;
const folder = dirname(fileURLToPath(import.meta.url));
const ourOffer = readFileSync(offerFile, 'utf8').trimEnd() + '\r\n';
const browser = await launchers[name]();
const version = (await browser.version()).match(/(\d+)\./)[1];
const server = createServer((request, response) => response.end('<!doctype html>'));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const page = await browser.newPage();
await page.goto(`http://localhost:${server.address().port}/`);

const texts = await page.evaluate(async (offer) => {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const [audio] = media.getAudioTracks();
  const [video] = media.getVideoTracks();
  const layers = [{ rid: 'q', scaleResolutionDownBy: 4 }, { rid: 'h', scaleResolutionDownBy: 2 },
    { rid: 'f' }];
  const texts = {};

  async function gathered(connection, description) {
    await connection.setLocalDescription(description);
    while (connection.iceGatheringState !== 'complete')
      await new Promise((done) => setTimeout(done, 20));
    return connection.localDescription.sdp;
  }
  async function record(what, prepare, configuration) {
    const connection = new RTCPeerConnection(configuration);
    await prepare(connection);
    texts[what] = await gathered(connection, await connection.createOffer());
    connection.close();
  }

  await record('offer-audio-video', (c) => media.getTracks().forEach((t) => c.addTrack(t, media)));
  await record('offer-audio', (c) => c.addTrack(audio, media));
  await record('offer-data', (c) => c.createDataChannel('chat'));
  await record('offer-data-first', (c) => {
    c.createDataChannel('chat');
    media.getTracks().forEach((t) => c.addTrack(t, media));
  }, { bundlePolicy: 'balanced' });
  await record('offer-audio-video-data', (c) => {
    media.getTracks().forEach((t) => c.addTrack(t, media));
    c.createDataChannel('chat');
  });
  await record('offer-max-bundle', (c) => media.getTracks().forEach((t) => c.addTrack(t, media)),
    { bundlePolicy: 'max-bundle' });
  await record('offer-recvonly', (c) => {
    c.addTransceiver('audio', { direction: 'recvonly' });
    c.addTransceiver('video', { direction: 'recvonly' });
  });
  await record('offer-simulcast', (c) => {
    c.addTransceiver(audio, { streams: [media] });
    c.addTransceiver(video, { streams: [media], sendEncodings: layers });
  });

  // A trickle offer: no candidates yet.
  const trickle = new RTCPeerConnection();
  media.getTracks().forEach((t) => trickle.addTrack(t, media));
  texts['offer-trickle'] = (await trickle.createOffer()).sdp;
  trickle.close();

  // A later offer with a stopped m-line and a new one.
  const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
  media.getTracks().forEach((t) => near.addTrack(t, media));
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
  near.getTransceivers()[1].stop();
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
  near.addTransceiver('audio', { direction: 'recvonly' });
  texts['reoffer-stopped'] = await gathered(near, await near.createOffer());
  near.close();
  far.close();

  // Answers to our offer: the tracks are attached after it is applied, or not at all.
  for (const what of ['answer-audio-video', 'answer-recvonly', 'answer-audio-only']) {
    const connection = new RTCPeerConnection();
    await connection.setRemoteDescription({ type: 'offer', sdp: offer });
    if (what !== 'answer-recvonly')
      connection.addTrack(audio, media);
    if (what === 'answer-audio-video')
      connection.addTrack(video, media);
    if (what === 'answer-audio-only')
      connection.getTransceivers()[1].stop();
    texts[what] = await gathered(connection, await connection.createAnswer());
    connection.close();
  }
  return texts;
}, ourOffer);

for (const [what, text] of Object.entries(texts))
  writeFileSync(join(folder, `${name}-${version}-${what}.sdp`), text);
writeFileSync(join(folder, 'wmcf-offer-audio-video.sdp'), ourOffer);
await browser.close();
server.close();
console.log(Object.keys(texts).join('\n'));
