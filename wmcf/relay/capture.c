/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of what a leg receives and sends, for the operator. The worker writes each packet with
 * what is known of it into a ring; the control thread reads. The worker never waits for it: what
 * finds no room is counted as overrun and is missing from the copy, never from the call. Reference
 * counts rather than a message back: whichever side lets go last frees the ring. */
#include "wmcf/relay/capture.h"

#include "wmcf/relay/leg.h"
#include "wmcf/relay/relay-control.h"
#include "wmcf/relay/worker-ring.h"

#include <string.h>

struct relay_capture {
    _Atomic unsigned refs;
    struct relay_leg *leg;       /* control: NULL = it has been released */
    char mid[RELAY_MID_MAX + 1]; /* RO; "" = all media */
    uint32_t snap;               /* RO */
    struct worker_ring *ring;
    _Atomic uint64_t overrun;
    _Atomic bool ended; /* the worker has let go: nothing more is written */
    struct relay_captured next;
};

struct record { /* then the octets */
    int64_t at;
    const char *format;
    union socket_address from, to;
    uint32_t length, kept;
    char mid[RELAY_MID_MAX + 1];
    uint8_t pt;
    bool sent, rtcp, retransmission;
};

struct relay_capture *capture_new(const struct relay_capture_config *config)
{
    struct relay_capture *capture = g_new0(struct relay_capture, 1);
    capture->refs = 2;
    g_strlcpy(capture->mid, config->mid ? config->mid : "", sizeof capture->mid);
    capture->snap = config->snap ? config->snap : UINT32_MAX;
    capture->ring = worker_ring_new(config->buffer);
    return capture;
}

static void unref(struct relay_capture *capture)
{
    if (atomic_fetch_sub(&capture->refs, 1) != 1)
        return;
    worker_ring_free(capture->ring);
    g_free(capture);
}

/* --- the worker ------------------------------------------------------------------------------- */

void capture_let_go(struct relay_capture *capture)
{
    atomic_store_explicit(&capture->ended, true, memory_order_release);
    unref(capture);
}

void worker_leg_set_capture(struct worker_leg *leg, struct relay_capture *capture)
{
    if (leg->capture)
        capture_let_go(leg->capture);
    leg->capture = capture;
}

/* The pair in use: packets that overtake its nomination are told with it, too. A local leg has
 * none. */
static void addresses(const struct worker_leg *leg, struct record *record)
{
    const struct ice_path *path = leg->nominated >= 0 ? &leg->paths[leg->nominated]
                                  : leg->n_paths      ? &leg->paths[0]
                                                      : NULL;
    if (!path)
        return;
    record->from = record->sent ? path->socket->local : path->remote;
    record->to = record->sent ? path->remote : path->socket->local;
}

static void name_codec(struct record *record, const struct media_line *line)
{
    const struct relay_media *media = &line->media;
    const struct relay_codec *codecs = record->sent ? media->send_codecs : media->recv_codecs;
    guint n = record->sent ? media->n_send_codecs : media->n_recv_codecs;
    for (guint i = 0; i < n; i++) {
        if (codecs[i].pt != record->pt && codecs[i].rtx_pt != record->pt)
            continue;
        record->format = codecs[i].format;
        record->retransmission = codecs[i].pt != record->pt;
        return;
    }
}

static size_t copy(uint8_t *to, size_t room, const uint8_t *from, size_t length)
{
    size_t some = MIN(room, length);
    if (some)
        memcpy(to, from, some);
    return some;
}

static void put(struct relay_capture *capture, const struct record *about, const uint8_t *front,
                size_t front_length, const uint8_t *rest, size_t rest_length)
{
    size_t length = front_length + rest_length, kept = MIN(length, capture->snap);
    struct record *record = worker_ring_put(capture->ring, sizeof *record + kept);
    if (!record) {
        atomic_fetch_add_explicit(&capture->overrun, 1, memory_order_relaxed);
        return;
    }
    *record = *about;
    record->length = (uint32_t)length;
    record->kept = (uint32_t)kept;
    uint8_t *octets = (uint8_t *)(record + 1);
    size_t done = copy(octets, kept, front, front_length);
    copy(octets + done, kept - done, rest, rest_length);
    worker_ring_publish(capture->ring);
}

static void put_media(const struct worker_leg *leg, const struct media_line *line,
                      struct record *record, const uint8_t *header, size_t header_length,
                      const uint8_t *payload, size_t length)
{
    struct relay_capture *capture = leg->capture;
    if (*capture->mid && strcmp(capture->mid, line->media.mid) != 0)
        return;
    memcpy(record->mid, line->media.mid, sizeof record->mid);
    record->pt = header[1] & 0x7f;
    addresses(leg, record);
    name_codec(record, line);
    put(capture, record, header, header_length, payload, length);
}

void capture_received(const struct worker_leg *leg, const struct media_line *line,
                      const uint8_t *header, size_t header_length, const struct packet *packet)
{
    struct record record = {.at = leg->worker->now};
    put_media(leg, line, &record, header, header_length, packet->payload, packet->length);
}

void capture_sent(const struct worker_leg *leg, const struct media_line *line,
                  const uint8_t *header, size_t header_length, const uint8_t *payload,
                  size_t length)
{
    struct record record = {.at = leg->worker->now, .sent = true};
    put_media(leg, line, &record, header, header_length, payload, length);
}

void capture_rtcp(const struct worker_leg *leg, bool sent, const uint8_t *data, size_t length)
{
    struct record record = {.at = leg->worker->now, .sent = sent, .rtcp = true};
    addresses(leg, &record);
    put(leg->capture, &record, data, length, NULL, 0);
}

/* --- the control thread ----------------------------------------------------------------------- */

struct relay_capture *relay_leg_capture(struct relay_leg *leg,
                                        const struct relay_capture_config *config)
{
    if (leg->capture || leg->releasing)
        return NULL;
    leg->capture = capture_new(config);
    leg->capture->leg = leg;
    struct command *command = relay_command_new(leg, COMMAND_CAPTURE);
    command->capture = leg->capture;
    relay_post(leg, command);
    return leg->capture;
}

void relay_capture_leg_goes(struct relay_leg *leg)
{
    if (leg->capture)
        leg->capture->leg = NULL;
    leg->capture = NULL;
}

void relay_capture_stop(struct relay_capture *capture)
{
    struct relay_leg *leg = capture->leg;
    if (!leg)
        return;
    relay_post(leg, relay_command_new(leg, COMMAND_CAPTURE));
    relay_capture_leg_goes(leg);
}

void relay_capture_free(struct relay_capture *capture)
{
    if (!capture)
        return;
    relay_capture_stop(capture);
    unref(capture);
}

const struct relay_captured *relay_capture_next(struct relay_capture *capture)
{
    size_t length;
    const struct record *record = worker_ring_next(capture->ring, &length);
    if (!record) {
        worker_ring_release(capture->ring);
        if (!worker_ring_begin(capture->ring))
            return NULL;
        record = worker_ring_next(capture->ring, &length);
    }
    if (!record)
        return NULL;
    struct relay_captured *next = &capture->next;
    *next = (struct relay_captured){.at = record->at,
                                    .sent = record->sent,
                                    .rtcp = record->rtcp,
                                    .retransmission = record->retransmission,
                                    .pt = record->pt,
                                    .format = record->format,
                                    .data = (const uint8_t *)(record + 1),
                                    .kept = record->kept,
                                    .length = record->length};
    memcpy(next->mid, record->mid, sizeof next->mid);
    if (record->from.any.sa_family) {
        socket_address_to_storage(&record->from, &next->from);
        socket_address_to_storage(&record->to, &next->to);
    }
    return next;
}

bool relay_capture_ended(const struct relay_capture *capture)
{
    return atomic_load_explicit(&capture->ended, memory_order_acquire);
}

uint64_t relay_capture_overrun(const struct relay_capture *capture)
{
    return atomic_load_explicit(&capture->overrun, memory_order_relaxed);
}
