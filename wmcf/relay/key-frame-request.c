/* SPDX-License-Identifier: Apache-2.0 */
/* Key frames are the most expensive thing a subscriber can ask for, and all subscribers can be made
 * to ask at once by one lost packet. So requests are a flag, not a queue. */
#include "wmcf/relay/key-frame-request.h"

#define TRIES_AT_FULL_RATE 10
#define SLOW_FACTOR 8
#define SILENCE_US 2000000

void key_frame_request_ask(struct key_frame_request *request)
{
    if (request->wanted)
        return;
    request->wanted = true;
    request->tries = 0;
}

bool key_frame_request_due(struct key_frame_request *request, int64_t now, int64_t interval,
                           int64_t last_packet)
{
    if (!request->wanted)
        return false;
    int64_t wait = interval;
    /* A source that never answers, or sends nothing at the moment, is asked less often. */
    if (request->tries >= TRIES_AT_FULL_RATE ||
        (request->tries > 0 && now - last_packet > SILENCE_US))
        wait *= SLOW_FACTOR;
    if (request->last_sent && now - request->last_sent < wait)
        return false;
    request->last_sent = now;
    request->tries++;
    return true;
}

void key_frame_request_satisfied(struct key_frame_request *request)
{
    request->wanted = false;
}
