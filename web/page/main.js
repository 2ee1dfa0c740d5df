// SPDX-License-Identifier: Apache-2.0
// The page: sign in, call, be called. All protocol is in ../lib; here is only what a person sees.

import { Client, sentenceFor } from '../lib/index.js';
import { CallView, clock } from './call-view.js';
import { watchConnection } from './connection.js';
import { button, element, input, show } from './dom.js';
import { askToAnswer } from './incoming.js';
import { closeMedia, openMedia } from './media.js';
import { MessageLog } from './messages.js';
import { clearNotice, notify } from './notice.js';

const REMEMBERED = 'eirtcw.user';
const TITLE = 'eiRTCW Call';

const client = new Client({ url: serviceUrl(), directMedia: true });
const messages = new MessageLog(client);
/**
 * The session on the screen or ringing; a second caller hears "busy".
 * @type {import('../lib/index.js').Session | undefined}
 */
let current;
/** Between the click and the first message: the browser asks for the camera. */
let preparing = false;

watchConnection(client);
// Not before this script is there: a form without it would put the password into the URL.
button('sign-in').disabled = false;
input('user').value = remembered() ?? '';
(input('user').value ? input('password') : input('user')).focus();

element('sign-in-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    clearNotice();
    const webrtcId = input('user').value.trim();
    const password = input('password').value;
    if (!/^[^@\s]+@[^@\s]+$/.test(webrtcId)) {
        notify('Your address has the form name@operator, for example alice@example.org.');
        input('user').focus();
        return;
    }
    button('sign-in').disabled = true;
    button('sign-in').textContent = 'Signing in…';
    try {
        await client.register({ webrtcId, password });
        remember(webrtcId);
        input('password').value = '';
        element('me-id').textContent = webrtcId;
        element('reach').textContent = webrtcId;
        element('me').hidden = false;
        input('callee').placeholder = `bob or bob@${webrtcId.split('@')[1]}`;
        home();
    } catch (error) {
        notify(sentence(error));
        input('password').select();
    } finally {
        button('sign-in').disabled = false;
        button('sign-in').textContent = 'Sign in';
    }
});

element('call-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const { submitter } = /** @type {SubmitEvent} */ (event);
    void callTo(input('callee').value.trim(), { picture: submitter?.id !== 'call-sound' });
});

button('play-test').addEventListener('click', () => watchResource('media/test'));

client.addEventListener('incoming', async (event) => {
    const { session } = event.detail;
    if (current || preparing) {
        event.preventDefault();
        return;
    }
    current = session;
    clearNotice();
    session.addEventListener('ended', () => {
        if (session.state === 'terminated' && current === session) current = undefined;
    });
    const answer = await askToAnswer(session);
    if (answer === 'no') {
        if (session.end?.remote) notify(missed(session), { calm: true });
        home();
        return;
    }
    const media = await prepare({ picture: answer === 'picture' });
    if (session.state === 'terminated') {
        closeMedia(media.stream);
        if (session.end?.remote) notify(missed(session), { calm: true });
        home();
        return;
    }
    take(session, media.stream);
    session.answer({ stream: media.stream });
});

client.addEventListener('stopped', ({ detail: { problem } }) => {
    element('me').hidden = true;
    show('sign-in');
    document.title = TITLE;
    if (problem.cause !== 'SIGNED_OUT') notify(sentence(problem));
    input('password').focus();
});

client.addEventListener('error', ({ detail }) => console.error(detail));

button('sign-out').addEventListener('click', () => {
    clearNotice();
    client.close();
});

// A page that goes takes its calls with it; the far side shall not wait for a time-out.
addEventListener('pagehide', () => client.close());

/**
 * @param {string} callee
 * @param {{ picture: boolean }} wanted
 */
async function callTo(callee, { picture }) {
    if (current || preparing) return;
    clearNotice();
    const { stream } = await prepare({ picture });
    if (current || client.state === 'offline') {
        closeMedia(stream);
        return;
    }
    // Without a picture at first; whoever switches the camera on later is seen.
    const session = client.call(withRealm(callee), {
        stream,
        receive: picture ? ['audio', 'video'] : ['audio'],
    });
    session.addEventListener('statechange', () => session.setReceive(['audio', 'video']), {
        once: true,
    });
    take(session, stream);
}

/** What the network itself provides: nothing is sent. @param {string} resource */
function watchResource(resource) {
    if (current || preparing) return;
    clearNotice();
    take(client.call(withRealm(resource)), new MediaStream());
}

/** @param {{ picture?: boolean }} [wanted] */
async function prepare(wanted) {
    preparing = true;
    button('call').disabled = true;
    try {
        const { stream, sentence: missing } = await openMedia(wanted);
        if (missing) notify(missing);
        return { stream: stream ?? new MediaStream() };
    } finally {
        preparing = false;
        button('call').disabled = false;
    }
}

/**
 * Puts a session on the screen until it ends.
 * @param {import('../lib/index.js').Session} session
 * @param {MediaStream} stream
 */
function take(session, stream) {
    current = session;
    const view = new CallView(session, stream, client, messages);
    session.addEventListener('ended', ({ detail }) => {
        closeMedia(stream);
        if (current === session) current = undefined;
        if (client.state === 'offline') return; // `stopped` says why
        const lasted =
            view.duration === undefined ? '' : ` The call lasted ${clock(view.duration)}.`;
        if (detail.remote || detail.cause !== 'NORMAL') {
            notify(sentenceFor(detail, { peer: session.peer }) + lasted, {
                calm: detail.cause === 'NORMAL',
            });
        } else if (lasted) {
            notify(`Call ended after ${clock(view.duration ?? 0)}.`, { calm: true });
        } else {
            clearNotice();
        }
        home();
    });
}

function home() {
    if (client.state === 'offline') return;
    show('home');
    document.title = TITLE;
    input('callee').focus();
}

/** @param {import('../lib/index.js').Session} session that rang here and is over */
function missed(session) {
    const { end, peer } = session;
    if (!end || end.cause === 'NORMAL' || end.cause === 'NO_ANSWER') {
        return `You missed a call from ${peer ?? 'somebody'}.`;
    }
    return sentenceFor(end, { peer });
}

/** @param {unknown} error */
function sentence(error) {
    if (error instanceof Error && 'cause' in error && typeof error.cause === 'string') {
        return sentenceFor(/** @type {import('../lib/index.js').ProblemError} */ (error));
    }
    console.error(error);
    return sentenceFor('INTERNAL_ERROR');
}

/** bob → bob@example.org, within one's own realm. @param {string} id */
function withRealm(id) {
    return id.includes('@') ? id : `${id}@${client.webrtcId?.split('@')[1] ?? ''}`;
}

/** The service that this page came from. */
function serviceUrl() {
    return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/eirtcw/v1`;
}

function remembered() {
    try {
        return localStorage.getItem(REMEMBERED);
    } catch {
        return null;
    }
}

/** Only the address; never the password. @param {string} webrtcId */
function remember(webrtcId) {
    try {
        localStorage.setItem(REMEMBERED, webrtcId);
    } catch {
        // Storage is refused: then it is typed again next time.
    }
}
