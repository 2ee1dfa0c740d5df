// SPDX-License-Identifier: Apache-2.0
// Types of the library, kept by hand; tests/unit/web/types.ts checks that the code agrees with them.

/** One message of the protocol. Members that are not named here are the method's own. */
export interface Message {
    messageType?: 'request' | 'response';
    method?: string;
    /** Decimal digits, since an id may use all of 64 bits. */
    transactionId?: string;
    success?: boolean;
    mediaSessionId?: string;
    mediaSessionState?: string;
    userData?: unknown;
    problemDetails?: unknown;
    retryAfter?: number;
    [member: string]: any;
}

export interface ProblemInit {
    /** HTTP-like status; 0 (the default) for a problem of this side. */
    status?: number;
    cause: string;
    title?: string;
    detail?: string;
    retryAfter?: number;
    invalidParams?: { param: string; reason?: string }[];
    unsupportedExtension?: string[];
}

/** Every failure of the library. Switch on `cause`; show `sentenceFor(error)`. */
export class ProblemError extends Error {
    constructor(problem: ProblemInit);
    static fromMessage(message: Message, fallback?: string): ProblemError;
    readonly status: number;
    readonly cause: string;
    readonly title: string;
    readonly detail: string | undefined;
    /** Seconds to wait before another attempt. */
    readonly retryAfter: number | undefined;
    readonly invalidParams: { param: string; reason?: string }[] | undefined;
    readonly unsupportedExtension: string[] | undefined;
    /** The failed response, where there was one. */
    response: Message | undefined;
    toDetails(): Record<string, unknown>;
}

/** English sentences by cause, with the placeholders {peer} and {seconds}. */
export const SENTENCES: Record<string, string>;
export function sentenceFor(
    what: ProblemError | SessionEnd | string,
    context?: { peer?: string; sentences?: Record<string, string> },
): string;

export interface ClientOptions {
    /** wss://host/eirtcw/v1, or several in order of preference; by default the realm is asked. */
    url?: string | string[];
    WebSocket?: typeof globalThis.WebSocket;
    RTCPeerConnection?: typeof globalThis.RTCPeerConnection;
    /** This endpoint's UUID; by default one per tab, kept over reloads. */
    instanceId?: string | (() => Promise<string>);
    /** Instead of those that the network names. */
    iceServers?: RTCIceServer[];
    /** Longest wait for candidates in milliseconds (2000). */
    gatheringTimeout?: number;
    /** Longest wait for the WebSocket in milliseconds (10000). */
    connectTimeout?: number;
    /** Seconds that calls shall survive without a connection; the network may grant less. */
    disconnectionTtl?: number;
    /** Seconds that a registration shall last; it is refreshed in time. */
    expirationTime?: number;
    /** Media may run straight between the two clients, which shows each the other's addresses. */
    directMedia?: boolean;
    /** Instead of the extensions that the library knows. */
    extensions?: string[];
    /** Source of the jitter, for tests. */
    random?: () => number;
}

type Secret = string | (() => string | Promise<string>);

export interface SignIn {
    /** user@realm */
    webrtcId: string;
    /** Either a password … A function is asked again whenever the network wants full authentication. */
    password?: Secret;
    /** … or an access token. */
    token?: Secret;
    attributes?: Record<string, unknown>;
    signal?: AbortSignal;
}

/** What to send and to receive. Nothing said: send nothing, receive sound and picture. */
export interface MediaChoice {
    stream?: MediaStream;
    tracks?: MediaStreamTrack[];
    receive?: ('audio' | 'video')[];
    /** Data channels from the beginning; Session.createDataChannel asks for them later, too. */
    data?: boolean;
    /** Codecs in order of preference, e.g. { video: ['VP9', 'VP8'] }. */
    codecs?: CodecPreference;
    /**
     * Whether a picture is sent in several sizes at once where the network asks for it (true). Without
     * them only the largest is sent, and who has a narrow link sees less of it.
     */
    simulcast?: boolean;
}

export interface CodecPreference {
    audio?: string[];
    video?: string[];
}

/** What may change in a call. */
export interface MediaChange extends MediaChoice {
    held?: boolean;
}

export interface CallOptions extends MediaChoice {
    userData?: unknown;
    preferredOriginatingId?: string;
    /** Names of extensions without which the call shall not be. */
    requiredExtension?: string[];
    /** Aborting hangs up. */
    signal?: AbortSignal;
}

export type ClientState = 'offline' | 'registering' | 'registered' | 'reconnecting';
export type SessionState =
    'initiating' | 'proceeding' | 'alerting' | 'established' | 'modifying' | 'terminated';

export interface ClientEventMap {
    statechange: CustomEvent<{ state: ClientState; previous: ClientState }>;
    /** After each successful authentication, the first and those after a reconnect. */
    registered: CustomEvent<{ webrtcId: string; instanceId: string }>;
    /** The connection was lost; the next attempt comes in `delay` seconds. */
    reconnecting: CustomEvent<{ attempt: number; delay: number; code?: number }>;
    /** The registration is over and no attempt will be made: signed out, superseded, refused. */
    stopped: CustomEvent<{ problem: ProblemError }>;
    /** Somebody calls. preventDefault() answers "busy"; otherwise the caller is told that it rings. */
    incoming: CustomEvent<{ session: Session }>;
    /** Every message as it goes and comes, for those who look for a fault. It may hold passwords. */
    message: CustomEvent<{ direction: 'sent' | 'received'; text: string }>;
    /** An error inside a handler of the application or the library. */
    error: CustomEvent<unknown>;
}

/** Gives the user data of the response; throws a ProblemError to refuse. */
export type MethodHandler = (
    userData: unknown,
    context: { session: Session | undefined; message: Message },
) => unknown;

/** One registered endpoint. */
export class Client extends EventTarget {
    constructor(options: ClientOptions);
    readonly state: ClientState;
    readonly webrtcId: string | undefined;
    readonly instanceId: string | undefined;
    readonly sessions: Session[];
    register(signIn: SignIn): Promise<void>;
    call(resourceId: string, options?: CallOptions): Session;
    getInfo(
        resources?: string[],
        options?: { match?: Record<string, unknown>; signal?: AbortSignal },
    ): Promise<Record<string, unknown>>;
    request(
        method: string,
        members?: Record<string, unknown>,
        options?: { signal?: AbortSignal; timeout?: number },
    ): Promise<Message>;
    /** Answers an application's own method, `name.authority`; null: unknown again. */
    handle(method: string, handler: MethodHandler | null): void;
    setAttributes(attributes: Record<string, unknown>): Promise<void>;
    directory(match?: Record<string, unknown>): Promise<unknown[]>;
    networkChanged(): void;
    reconnectNow(): void;
    close(): void;
    addEventListener<K extends keyof ClientEventMap>(
        type: K,
        listener: (event: ClientEventMap[K]) => void,
        options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
        type: string,
        listener: EventListenerOrEventListenerObject | null,
        options?: boolean | AddEventListenerOptions,
    ): void;
}

export interface SessionEnd {
    /** The cause of `mdisc`, or that of the problem. */
    cause: string;
    problem?: ProblemError;
    /** Whether the network or the far side ended it. */
    remote: boolean;
}

export interface SessionEventMap {
    statechange: CustomEvent<{ state: SessionState; previous: SessionState }>;
    /** The path of sound and picture: connecting, connected, disconnected (a gap), failed. */
    pathchange: CustomEvent<{ state: RTCPeerConnectionState }>;
    track: CustomEvent<{
        track: MediaStreamTrack;
        transceiver: RTCRtpTransceiver;
        stream: MediaStream | null;
        /** Whose it is in a room, if that is known by now. The m-line may pass on to somebody else. */
        participantId: string | undefined;
    }>;
    /** Somebody came to the room or left it, or is brought by other m-lines. */
    participantschange: CustomEvent<ParticipantsChange>;
    /** Somebody else speaks in the room; undefined: nobody. */
    activespeakerchange: CustomEvent<{ participantId: string | undefined }>;
    /** The other side has opened a data channel. */
    datachannel: CustomEvent<{ channel: RTCDataChannel }>;
    /** This side or the other has put the call on hold, or has taken it back. */
    holdchange: CustomEvent<{ held: boolean; heldByPeer: boolean }>;
    /** The network has begun to record the conversation, or has ended it. Show it to the person. */
    recordingchange: CustomEvent<{ recording: boolean }>;
    /** The network does something else with media: those that it is about, as they are now. */
    qos: CustomEvent<{ changed: MediaQos[] }>;
    /** Names, participants or user data changed. */
    update: CustomEvent<{ message: Message }>;
    ended: CustomEvent<SessionEnd>;
}

/** One call, made by Client.call or told by the event `incoming`. */
export class Session extends EventTarget {
    private constructor();
    readonly direction: 'outgoing' | 'incoming';
    readonly state: SessionState;
    readonly pathState: RTCPeerConnectionState;
    /** Put on hold by this side. */
    readonly held: boolean;
    /** Put on hold by the other side. */
    readonly heldByPeer: boolean;
    readonly tracks: MediaStreamTrack[];
    /** Media of which the network has told something, closed gates first of all. */
    readonly qos: MediaQos[];
    /** The network records the conversation: what this side sends, or what others do. */
    readonly recording: boolean;
    readonly mediaSessionId: string | undefined;
    /** Who is at the other end, as far as the network tells. */
    readonly peer: string | undefined;
    readonly userData: unknown;
    /** The others in the room, in the network's order; empty in a call of two. */
    readonly participants: Participant[];
    /** Who this side is in the room. */
    readonly participantId: string | undefined;
    /** The participantId of who speaks in the room, which may be that of this side. */
    readonly activeSpeaker: string | undefined;
    readonly end: SessionEnd | undefined;
    readonly remoteStream: MediaStream | null;
    readonly connection: RTCPeerConnection | null;
    answer(media?: MediaChoice): void;
    decline(cause?: 'DECLINED' | 'BUSY'): void;
    hangUp(cause?: string): void;
    /** These resolve when the other side has agreed, and reject when it refused. */
    hold(): Promise<void>;
    resume(): Promise<void>;
    addVideo(track: MediaStreamTrack): Promise<void>;
    removeVideo(): Promise<void>;
    addTrack(track: MediaStreamTrack): Promise<void>;
    removeTrack(track: MediaStreamTrack): Promise<void>;
    setCodecs(kind: 'audio' | 'video', names: string[]): Promise<void>;
    change(change: MediaChange, options?: { byNetwork?: boolean }): Promise<void>;
    restartIce(): Promise<void>;
    changeResource(resourceId: string): Promise<void>;
    setReceive(kinds: ('audio' | 'video')[]): void;
    replaceTrack(kind: 'audio' | 'video', track: MediaStreamTrack | null): Promise<boolean>;
    request(method: string, userData?: unknown): Promise<unknown>;
    playback(wish?: PlaybackWish): Promise<Playback>;
    /** How large the pictures of a room are shown; each call replaces what was said before. */
    view(views: readonly View[]): void;
    /** A data channel to the other side, which is asked for them first where the call has none. */
    createDataChannel(
        label: string,
        options?: Omit<RTCDataChannelInit, 'negotiated' | 'id'>,
    ): Promise<RTCDataChannel>;
    getStats(): Promise<RTCStatsReport | null>;
    addEventListener<K extends keyof SessionEventMap>(
        type: K,
        listener: (event: SessionEventMap[K]) => void,
        options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
        type: string,
        listener: EventListenerOrEventListenerObject | null,
        options?: boolean | AddEventListenerOptions,
    ): void;
}

/** Somebody in a room. */
export interface Participant {
    participantId: string;
    /** As the network tells, often their address; may be empty. */
    displayName: string;
    /** The m-lines that bring this person's media, as RTCRtpTransceiver.mid; empty: nothing comes. */
    mids: string[];
    /** What comes of this person. One stream for as long as they are there; its tracks change. */
    stream: MediaStream | null;
    /**
     * The codec of their picture if it cannot be shown here: this side has not agreed to it, and the
     * network does not convert it. Else empty.
     */
    noPicture: string;
}

export interface ParticipantsChange {
    /** All that are there now. */
    participants: Participant[];
    joined: Participant[];
    left: Participant[];
    /** Others whose name, m-lines or tracks are different now. */
    changed: Participant[];
}

/** How large a picture is shown, in the screen's pixels (CSS pixels × devicePixelRatio). */
export interface View {
    /** Either whose picture … */
    participantId?: string;
    /** … or which m-line. */
    mid?: string;
    width: number;
    height: number;
}

export interface PlaybackWish {
    /** Seconds from the beginning. */
    seek?: number;
    pause?: boolean;
}

/** How far a media resource is, in seconds. */
export interface Playback {
    position?: number;
    /** Absent: it has no end. */
    duration?: number;
    seekable: boolean;
    paused: boolean;
}

export interface CandidateSummary {
    address: string | undefined;
    port: number | undefined;
    protocol: string | undefined;
    type: string | undefined;
}

/** What passes the network (TS 29.514): uplink is what this side sends, downlink what it gets. */
export type FlowStatus =
    | 'ENABLED'
    | 'ENABLED-UPLINK'
    | 'ENABLED-DOWNLINK'
    | 'DISABLED'
    | 'REMOVED';

/** What the network does with one medium of a session. */
export interface MediaQos {
    /** Of the m-line, as RTCRtpTransceiver.mid and MediaSummary.mid. */
    mid: string;
    flowStatus: FlowStatus;
    /** Packets have come to the closed gate. */
    gated?: 'uplink' | 'downlink';
    /** Packets that were dropped because they were above the agreed rate, in all. */
    policingDiscarded: { uplink: number; downlink: number };
    /** When the last of them was told, as performance.now(). */
    policedAt?: number;
    /** What the media centre has measured in the last seconds. */
    measured?: {
        readonly uplink?: Measured;
        readonly downlink?: Measured;
        /** When it was told, as performance.now(). */
        readonly at: number;
    };
}

/** Of one direction of a medium, as the media centre sees it; what it does not know is not there. */
export interface Measured {
    /** Bits per second. */
    bitrate?: number;
    /** 0 to 1. */
    loss?: number;
    /** Seconds. */
    jitter?: number;
    /** Seconds between the media centre and this side. */
    roundTrip?: number;
    /** Bits per second that the way to this side carries, for all media. */
    estimate?: number;
    /** Of the picture that is sent to this side. */
    layer?: Layer;
    qualityLimitationReason?: 'none' | 'bandwidth' | 'cpu' | 'other';
    /** Of the picture that this side sends in several sizes: those that arrive. */
    encodings?: Layer[];
}

export interface Layer {
    rid?: string;
    spatial?: number;
    temporal?: number;
    frameWidth?: number;
    frameHeight?: number;
    /** Bits per second, in `encodings`. */
    bitrate?: number;
}

/** Whether packets of a medium pass; true for one of which nothing was told. */
export function gateOpen(
    one: MediaQos | undefined,
    direction: 'uplink' | 'downlink',
): boolean;

export interface MediaSummary {
    id: string;
    /** Milliseconds, the time of the reading. */
    at: number;
    kind: 'audio' | 'video';
    direction: 'send' | 'receive';
    mid?: string;
    /** Of a picture that is sent in several sizes: which of them. */
    rid?: string;
    /** Whether this size is sent at the moment. */
    active?: boolean;
    /** Why a picture is sent smaller than it could be: none, cpu, bandwidth, other. */
    limited?: string;
    codec?: string;
    bytes: number;
    packets: number;
    lost: number;
    /** Bits per second since the previous summary. */
    bitrate?: number;
    /** 0 to 1, since the previous summary. */
    lossShare: number;
    /** Seconds. */
    jitter?: number;
    /** Seconds. */
    roundTrip?: number;
    width?: number;
    height?: number;
    fps?: number;
    frames?: number;
    framesDropped?: number;
    freezes?: number;
    keyFrames?: number;
    concealedSamples?: number;
    totalSamples?: number;
    audioLevel?: number;
    /** Packets that came, or went, once more. */
    repaired?: number;
    nack?: number;
    pli?: number;
}

export interface StatsSummary {
    path?: {
        local?: CandidateSummary;
        remote?: CandidateSummary;
        roundTrip?: number;
        availableOutgoingBitrate?: number;
    };
    dtls?: {
        state?: string;
        version?: string;
        cipher?: string;
        srtpCipher?: string;
        role?: string;
    };
    media: MediaSummary[];
}

export function summarizeStats(report: RTCStatsReport, previous?: StatsSummary): StatsSummary;

/** This tab's instanceId: kept over a reload, renewed for a duplicated tab. */
export function tabInstanceId(environment?: {
    storage?: Pick<Storage, 'getItem' | 'setItem'>;
    locks?: Pick<LockManager, 'request'>;
    patience?: number;
}): Promise<string>;

/** The addresses of a realm's service, from its /.well-known/eirtcw. */
export function discover(
    realm: string,
    environment?: { fetch?: typeof globalThis.fetch },
): Promise<string[]>;

/** @internal What is wanted of a call. */
export interface Wants {
    tracks: MediaStreamTrack[];
    receive: ('audio' | 'video')[];
    data: boolean;
    held: boolean;
    codecs: CodecPreference;
    simulcast: boolean;
}

/** @internal */
export interface TrickledCandidate {
    candidate: string;
    sdpMid?: string;
    usernameFragment?: string;
}

/** @internal What the exchange of offers and answers needs of its session. */
export interface ExchangePort {
    negotiation: any;
    wants: Wants;
    send(method: string, members: Record<string, unknown>): Promise<Message>;
    ended(): boolean;
    ready(): Promise<void>;
    trickles(): boolean;
    pause(seconds: number): Promise<void>;
    nextAnswer(): Promise<void>;
    modifying(): () => void;
    answering(): void;
    agreed(): void;
    failed(problem: ProblemError, by: { remote: boolean }): void;
}

/** @internal */
export type RequestHandler = (
    message: Message,
    respond: (members?: Record<string, unknown>) => void,
) => void | Promise<void>;

/** @internal */
export interface Account {
    webrtcId: string;
    attributes?: Record<string, unknown>;
    credential: () => Promise<{ authType: string; authorization: string }>;
}

/** @internal */
export interface RegistrationOptions {
    urls: (realm: string) => Promise<string[]>;
    WebSocket: typeof globalThis.WebSocket;
    instanceId: () => Promise<string>;
    handler: RequestHandler;
    liveSessions: () => number;
    extensions?: string[];
    disconnectionTtl?: number;
    expirationTime?: number;
    connectTimeout?: number;
    random?: () => number;
}

/** @internal What a session needs of its client. */
export interface SessionHost {
    media: {
        RTCPeerConnection: typeof globalThis.RTCPeerConnection;
        iceServers?: RTCIceServer[];
        gatheringTimeout?: number;
    };
    /** What this side can do. */
    extensions: string[];
    /** What both sides can do. */
    supports(extension: string): boolean;
    /** Resolves when the ICE servers' credentials are good for a call. */
    servers(): Promise<void>;
    connected(): boolean;
    request(method: string, members?: Record<string, unknown>): Promise<Message>;
    disconnect(mediaSessionId: string, cause: string): void;
    remember(session: any): void;
    forget(session: any): void;
}
