// SPDX-License-Identifier: Apache-2.0
// A picture in several sizes at once, for a network that asks for it (a=simulcast:recv, RFC 8853). The
// browser makes the encodings out of the network's offer; here is which of them are sent, how small
// each is and how much it may cost.

/** Bits per second that a picture of so many pixels is worth; between them in proportion. */
const WORTH = [
    [0, 30_000],
    [160 * 90, 80_000],
    [320 * 180, 200_000],
    [480 * 270, 400_000],
    [640 * 360, 700_000],
    [960 * 540, 1_500_000],
    [1280 * 720, 2_500_000],
    [1920 * 1080, 4_500_000],
];
/** Nobody wants to see less than this. */
const LEAST_HEIGHT = 80;
const DEFAULT = { width: 1280, height: 720 };

/**
 * For which track, and with how many encodings, a sender was shaped; an application may have changed
 * its parameters since then.
 * @type {WeakMap<RTCRtpSender, { track: MediaStreamTrack, count: number, wanted: boolean }>}
 */
const shaped = new WeakMap();

/**
 * After a track was put on a sender. Without several encodings there is nothing to do.
 * @param {RTCRtpSender} sender
 * @param {boolean} [wanted] whether to send more than the largest
 */
export async function shapeEncodings(sender, wanted = true) {
    const { track } = sender;
    const parameters = track?.kind === 'video' ? sender.getParameters?.() : undefined;
    const encodings = parameters?.encodings ?? [];
    const count = encodings.length;
    if (!parameters || !track || count < 2) return;
    const before = shaped.get(sender);
    if (before?.track === track && before.count === count && before.wanted === wanted) return;
    const { width, height } = { ...DEFAULT, ...track.getSettings?.() };
    // The network names them from the smallest to the largest.
    encodings.forEach((encoding, index) => {
        const steps = count - 1 - index;
        const scale = 2 ** steps;
        const least = Math.min(width, height) / scale >= LEAST_HEIGHT;
        encoding.active = steps === 0 || (wanted && least);
        encoding.scaleResolutionDownBy = scale;
        encoding.maxBitrate = worth((width * height) / scale ** 2);
    });
    try {
        await sender.setParameters(parameters);
        shaped.set(sender, { track, count, wanted });
    } catch {
        // Another description or track came between; it brings its own turn here.
    }
}

/** @param {number} pixels */
function worth(pixels) {
    const above = WORTH.findIndex(([size]) => size >= pixels);
    if (above < 0) return WORTH[WORTH.length - 1][1];
    if (above === 0) return WORTH[0][1];
    const [[lowSize, lowRate], [highSize, highRate]] = WORTH.slice(above - 1, above + 1);
    return Math.round(
        lowRate + ((pixels - lowSize) / (highSize - lowSize)) * (highRate - lowRate),
    );
}
