// SPDX-License-Identifier: Apache-2.0
// Compiled only: the code agrees with the types kept by hand, and an application in TypeScript can be
// written with them.
import * as face from '../../../web/lib/index.js';
import { Client } from '../../../web/lib/client.js';
import { Session } from '../../../web/lib/session.js';
import { ProblemError } from '../../../web/lib/problem.js';
import { SENTENCES, sentenceFor } from '../../../web/lib/words.js';
import { gateOpen } from '../../../web/lib/qos.js';
import { summarizeStats } from '../../../web/lib/stats.js';
import { tabInstanceId } from '../../../web/lib/instance-id.js';

/** The members of a class without its constructor and the overloads of addEventListener. */
type Members<T> = Omit<T, 'addEventListener' | 'sessions' | 'call'>;

export const agreed: {
    client: (one: Client) => Members<face.Client>;
    session: (one: Session) => Members<face.Session>;
    problem: (one: ProblemError) => face.ProblemError;
    summary: typeof face.summarizeStats;
    gate: typeof face.gateOpen;
    sentence: typeof face.sentenceFor;
    sentences: typeof face.SENTENCES;
    instance: typeof face.tabInstanceId;
} = {
    client: (one) => one,
    session: (one) => one,
    problem: (one) => one,
    summary: summarizeStats,
    gate: gateOpen,
    sentence: sentenceFor,
    sentences: SENTENCES,
    instance: tabInstanceId,
};

export async function application(stream: MediaStream): Promise<face.StatsSummary | undefined> {
    const client = new face.Client({ url: 'wss://example.org/eirtcw/v1' });
    client.addEventListener('incoming', (event) => {
        const { session } = event.detail;
        if (client.sessions.length > 1) event.preventDefault();
        else session.answer({ stream });
    });
    client.addEventListener('stopped', ({ detail }) =>
        console.log(face.sentenceFor(detail.problem)),
    );
    try {
        await client.register({ webrtcId: 'a@example.org', password: async () => 'secret' });
    } catch (error) {
        if (error instanceof face.ProblemError && error.retryAfter)
            console.log(error.retryAfter + 1);
        return undefined;
    }
    const session = client.call('b@example.org', { stream, signal: AbortSignal.timeout(1000) });
    session.addEventListener('ended', ({ detail: { cause, problem } }) =>
        console.log(cause, problem?.status),
    );
    session.addEventListener('statechange', ({ detail: { state } }) => state === 'alerting');
    session.addEventListener('recordingchange', ({ detail: { recording } }) =>
        console.log(recording && session.recording),
    );
    session.addEventListener('qos', ({ detail: { changed } }) =>
        console.log(changed.map((one) => face.gateOpen(one, 'uplink'))),
    );
    // @ts-expect-error only the two kinds exist
    await session.replaceTrack('data', null);
    const report = await session.getStats();
    return report ? face.summarizeStats(report) : undefined;
}
