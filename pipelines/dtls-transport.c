/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what DTLS is for one leg: the association, its timer, the first datagrams that came too
 * early, and the references to webrtcbin's elements between which it stands. All of it is worked on
 * by jobs on the DTLS thread. The association's callbacks run under the lock, so they only note
 * what has to be told; settle() tells it after the lock is released, for webrtcbin calls back in
 * many ways. */
#include "pipelines/dtls-transport.h"

#include "base/problem.h"
#include "pipelines/dtls-elements.h"
#include "pipelines/dtls-thread.h"
#include "pipelines/ice-agent.h"
#include "pipelines/sctp-elements.h"
#include "pipelines/sctp-packet.h"
#include "pipelines/sctp-thread.h"
#include "pipelines/sctp-window.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct dtls_transport {
    _Atomic guint references;
    struct dtls_context *context;
    const struct dtls_transport_ops *ops;
    guint64 owner;

    struct dtls_fingerprint fingerprint; /* RO after the first CONNECTED */
    bool we_are_server;                  /* the same */
    _Atomic bool connected;
    _Atomic guint queued, queued_octets; /* on their way to the DTLS thread */
    _Atomic guint data_octets;           /* on their way to webrtcbin's SCTP */
    struct sctp_window window;           /* of the peer */

    pthread_mutex_t lock;
    bool over;                            /* lock; nothing is joined any more */
    struct dtls_association *association; /* lock */
    GQueue out;                           /* lock; GBytes that the association wants to send */
    GstWebRTCICETransport *ice;           /* lock; set once, cleared at the end */
    DtlsEnc *enc;                         /* the same */
    DtlsDec *dec;                         /* the same */
    GstElement *sctp[2];                  /* the same; webrtcbin's SCTP elements */
    GstPad *gate;     /* the same; the pad that webrtcbin blocks before the decoder */
    GQueue data;      /* lock; GstBuffer, deciphered */
    guint8 sack[512]; /* lock; our last SACK by itself */
    gsize sack_length;
    guint32 tag;                 /* lock; of the peer's SCTP packets, 0 = none yet */
    struct sctp_streams streams; /* lock; that the peer has used */
    bool held;                   /* lock; webrtcbin's SCTP is being made */
    bool refused;                /* lock; it uses too many: nothing more comes in */
    bool refusal_told;           /* DTLS thread */

    /* DTLS thread */
    struct dtls_timer timer;
    GQueue early; /* GstBuffer */
    enum dtls_state told;
    struct pl_srtp_keys keys; /* from `connected` until it is told */
    GError *error;            /* from `failed` until it is told */
};

/* --- life ------------------------------------------------------------------------------------- */

static void on_timer(void *data, gint64 now);

struct dtls_transport *dtls_transport_new(struct dtls_context *context,
                                          const struct dtls_transport_ops *ops, guint64 owner)
{
    struct dtls_transport *transport = g_new0(struct dtls_transport, 1);

    atomic_init(&transport->references, 1);
    pthread_mutex_init(&transport->lock, NULL);
    g_queue_init(&transport->out);
    g_queue_init(&transport->early);
    g_queue_init(&transport->data);
    dtls_timer_init(&transport->timer, on_timer, transport);
    transport->context = context;
    transport->ops = ops;
    transport->owner = owner;
    sctp_window_init(&transport->window);
    return transport;
}

struct dtls_transport *dtls_transport_ref(struct dtls_transport *transport)
{
    atomic_fetch_add_explicit(&transport->references, 1, memory_order_relaxed);
    return transport;
}

void dtls_transport_unref(struct dtls_transport *transport)
{
    if (atomic_fetch_sub(&transport->references, 1) != 1)
        return;
    /* The timer's last user and everything that could fill these ended with the closing job. */
    g_assert(!transport->association && !transport->timer.position);
    g_queue_clear_full(&transport->out, (GDestroyNotify)g_bytes_unref);
    g_queue_clear_full(&transport->early, (GDestroyNotify)gst_buffer_unref);
    g_queue_clear_full(&transport->data, (GDestroyNotify)gst_buffer_unref);
    sctp_streams_clear(&transport->streams);
    g_clear_error(&transport->error);
    OPENSSL_cleanse(&transport->keys, sizeof transport->keys);
    pthread_mutex_destroy(&transport->lock);
    g_free(transport);
}

/* --- what the association says: DTLS thread, under the lock (`send` also control, closing)
 * ---------- */

static void note_datagram(void *user, const guint8 *datagram, gsize length)
{
    struct dtls_transport *transport = user;

    g_queue_push_tail(&transport->out, g_bytes_new(datagram, length));
}

static void note_connected(void *user, const struct pl_srtp_keys *keys)
{
    struct dtls_transport *transport = user;

    transport->keys = *keys;
}

static void note_failed(void *user, const GError *error)
{
    struct dtls_transport *transport = user;

    g_clear_error(&transport->error);
    transport->error = g_error_copy(error);
}

static void note_closed(void *user)
{
    /* The association's state tells it. */
}

#define DATA_WAITING_MAX                                                                           \
    256 /* packets: one datagram has few, and more only come while they are held */

static void note_data(void *user, const guint8 *data, gsize length)
{
    struct dtls_transport *transport = user;

    /* What is malformed, or no SCTP that a data channel needs, is not shown to webrtcbin's SCTP. */
    if (transport->refused || !sctp_packet_check(data, length))
        return;
    if (sctp_packet_tag(data) != 0) /* an INIT has none */
        transport->tag = sctp_packet_tag(data);
    if (!sctp_streams_admit(&transport->streams, data, length)) {
        transport->refused = true;
        return;
    }
    if (!sctp_window_admit(&transport->window, data, length, g_get_monotonic_time()))
        return;
    if (transport->data.length < DATA_WAITING_MAX)
        g_queue_push_tail(&transport->data, gst_buffer_new_memdup(data, length));
}

static const struct dtls_ops association_ops = {
    .send = note_datagram,
    .connected = note_connected,
    .failed = note_failed,
    .closed = note_closed,
    .data = note_data,
};

/* --- DTLS thread ------------------------------------------------------------------------------ */

static void tell_state(struct dtls_transport *transport, DtlsEnc *enc, enum dtls_state state,
                       const char *cipher)
{
    transport->told = state;
    atomic_store(&transport->connected, state == DTLS_CONNECTED);
    if (state == DTLS_CONNECTED) {
        /* The keys before webrtcbin's own ceremony: the peer's media is already on its way. */
        transport->ops->connected(transport->owner, &transport->keys, cipher);
        OPENSSL_cleanse(&transport->keys, sizeof transport->keys);
    }
    /* Before webrtcbin, which would say it in less words. */
    if (state == DTLS_FAILED)
        transport->ops->failed(transport->owner, transport->error);
    else if (state == DTLS_CLOSED)
        transport->ops->closed(transport->owner);
    if (enc)
        dtls_enc_set_state(enc, state);
}

#define SCTP_START_MS 200

struct data_job {
    struct dtls_transport *transport;
    DtlsDec *dec;
    GstElement *sctp[2]; /* or NULL */
    GQueue packets;      /* GstBuffer */
    guint octets;
};

/* GStreamer's SCTP begins its association while it goes to PAUSED, and notes only afterwards that
 * it has: an answer that comes before that would be overlooked, and the association never be up.
 * Some µs as a rule. SCTP thread */
static void await_sctp(GstElement *sctp)
{
    for (guint tries = 0; sctp && tries < SCTP_START_MS; tries++) {
        bool under_way;

        GST_OBJECT_LOCK(sctp);
        under_way = GST_STATE(sctp) < GST_STATE_PAUSED && GST_STATE_NEXT(sctp) == GST_STATE_PAUSED;
        GST_OBJECT_UNLOCK(sctp);
        if (!under_way)
            break;
        g_usleep(1000);
    }
}

/* SCTP thread */
static void do_data(void *data)
{
    struct data_job *job = data;
    GstBuffer *packet;

    await_sctp(job->sctp[0]);
    await_sctp(job->sctp[1]);
    while ((packet = g_queue_pop_head(&job->packets)))
        dtls_dec_push_data(job->dec, packet);
    atomic_fetch_sub(&job->transport->data_octets, job->octets);
    g_object_unref(job->dec);
    gst_clear_object(&job->sctp[0]);
    gst_clear_object(&job->sctp[1]);
    dtls_transport_unref(job->transport);
    g_free(job);
}

/* Takes the packets and the reference. */
static void pass_data(struct dtls_transport *transport, DtlsDec *dec, GQueue *packets)
{
    struct data_job *job = g_new0(struct data_job, 1);
    GstBuffer *packet;

    g_queue_init(&job->packets);
    while ((packet = g_queue_pop_head(packets))) {
        guint size = (guint)gst_buffer_get_size(packet);

        if (atomic_load(&transport->data_octets) + job->octets + size > DTLS_DATA_OCTETS) {
            gst_buffer_unref(packet);
            continue;
        }
        job->octets += size;
        g_queue_push_tail(&job->packets, packet);
    }
    atomic_fetch_add(&transport->data_octets, job->octets);
    job->transport = dtls_transport_ref(transport);
    job->dec = dec;
    pthread_mutex_lock(&transport->lock);
    for (guint i = 0; i < G_N_ELEMENTS(job->sctp); i++)
        job->sctp[i] = transport->sctp[i] ? gst_object_ref(transport->sctp[i]) : NULL;
    pthread_mutex_unlock(&transport->lock);
    sctp_thread_post(do_data, job);
}

/* After each step of the association: says what it wants said, in the order in which it happened.
 */
static void settle(struct dtls_transport *transport, gint64 now)
{
    GQueue out, data = G_QUEUE_INIT;
    DtlsEnc *enc;
    DtlsDec *dec = NULL;
    enum dtls_state state;
    const char *cipher;
    gint64 deadline;
    GBytes *datagram;
    bool refused;

    pthread_mutex_lock(&transport->lock);
    if (!transport->association) {
        pthread_mutex_unlock(&transport->lock);
        return;
    }
    out = transport->out;
    g_queue_init(&transport->out);
    if (transport->dec && transport->data.length > 0 && !transport->held) {
        data = transport->data;
        g_queue_init(&transport->data);
        dec = g_object_ref(transport->dec);
    }
    refused = transport->refused && !transport->refusal_told;
    enc = transport->enc ? g_object_ref(transport->enc) : NULL;
    state = dtls_association_state(transport->association);
    cipher = dtls_association_cipher(transport->association);
    deadline = dtls_association_deadline(transport->association, now);
    pthread_mutex_unlock(&transport->lock);

    dtls_timer_set(&transport->timer, deadline);
    while ((datagram = g_queue_pop_head(&out))) {
        if (enc)
            dtls_enc_push(enc, datagram);
        g_bytes_unref(datagram);
    }
    if (state != transport->told)
        tell_state(transport, enc, state, cipher);
    g_clear_object(&enc);
    if (dec)
        pass_data(transport, dec, &data);
    if (refused) {
        transport->refusal_told = true;
        transport->ops->data_refused(transport->owner);
    }
}

static void on_timer(void *data, gint64 now)
{
    struct dtls_transport *transport = data;

    pthread_mutex_lock(&transport->lock);
    if (transport->association)
        dtls_association_tick(transport->association, now);
    pthread_mutex_unlock(&transport->lock);
    settle(transport, now);
}

void dtls_transport_input(struct dtls_transport *transport, const guint8 *datagram, gsize length)
{
    gint64 now = g_get_monotonic_time();

    pthread_mutex_lock(&transport->lock);
    if (transport->association)
        dtls_association_receive(transport->association, now, datagram, length);
    pthread_mutex_unlock(&transport->lock);
    settle(transport, now);
}

void dtls_transport_output(struct dtls_transport *transport, const guint8 *datagram, gsize length)
{
    transport->ops->send(transport->owner, g_bytes_new(datagram, length));
}

/* Through webrtcbin's receive bin to the decoder, which comes back by dtls_transport_input(). */
static void push_to_decoder(struct dtls_transport *transport, GstBuffer *datagram)
{
    GstWebRTCICETransport *ice;
    GstPad *gate;

    pthread_mutex_lock(&transport->lock);
    ice = transport->ice ? gst_object_ref(transport->ice) : NULL;
    gate = transport->gate ? gst_object_ref(transport->gate) : NULL;
    pthread_mutex_unlock(&transport->lock);
    /* A push against a blocked pad would stop the DTLS of every leg: better lose the datagram, the
     * peer repeats it. */
    if (ice && gate && !gst_pad_is_blocked(gate))
        ice_src_push(ice->src, datagram);
    else
        gst_buffer_unref(datagram);
    gst_clear_object(&ice);
    gst_clear_object(&gate);
}

/* --- jobs ------------------------------------------------------------------------------------- */

struct job {
    struct dtls_transport *transport;
    union {
        GstWebRTCICEConnectionState ice_state;
        GstBuffer *datagram;
        bool is_client;
        struct {
            void (*then)(void *data);
            void *data;
        };
    };
};

static void post(struct dtls_transport *transport, void (*fn)(void *data), struct job job)
{
    job.transport = dtls_transport_ref(transport);
    dtls_thread_post(fn, g_memdup2(&job, sizeof job));
}

static void free_job(struct job *job)
{
    dtls_transport_unref(job->transport);
    g_free(job);
}

static void do_set_ice(void *data)
{
    struct job *job = data;
    struct dtls_transport *transport = job->transport;
    GstWebRTCICETransport *ice;

    pthread_mutex_lock(&transport->lock);
    ice = transport->ice ? gst_object_ref(transport->ice) : NULL;
    pthread_mutex_unlock(&transport->lock);
    if (ice) {
        gst_webrtc_ice_transport_connection_state_change(ice, job->ice_state);
        gst_object_unref(ice);
    }
    free_job(job);
}

static void do_start(void *data)
{
    struct job *job = data;
    struct dtls_transport *transport = job->transport;
    gint64 now = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    GstBuffer *datagram;

    if (transport->we_are_server == job->is_client)
        problem_set(&error, PROBLEM_INTERNAL_ERROR,
                    "webrtcbin took the other DTLS role than was negotiated");
    pthread_mutex_lock(&transport->lock);
    if (!error && !transport->association && !transport->over) {
        transport->association =
            dtls_association_new(transport->context, job->is_client, &transport->fingerprint,
                                 &association_ops, transport, &error);
        if (transport->association)
            dtls_association_start(transport->association, now);
    }
    pthread_mutex_unlock(&transport->lock);
    if (error)
        transport->ops->failed(transport->owner, error);
    settle(transport, now);
    while ((datagram = g_queue_pop_head(&transport->early)))
        push_to_decoder(transport, datagram);
    free_job(job);
}

static void do_receive(void *data)
{
    struct job *job = data;
    struct dtls_transport *transport = job->transport;

    atomic_fetch_sub(&transport->queued, 1);
    atomic_fetch_sub(&transport->queued_octets, (guint)gst_buffer_get_size(job->datagram));
    if (transport->association)
        push_to_decoder(transport, job->datagram);
    else if (!transport->over && g_queue_get_length(&transport->early) < DTLS_EARLY_MAX)
        g_queue_push_tail(&transport->early, job->datagram);
    else
        gst_buffer_unref(job->datagram);
    free_job(job);
}

static void do_end(void *data)
{
    struct job *job = data;

    job->then(job->data);
    free_job(job);
}

static void do_close(void *data)
{
    struct job *job = data;
    struct dtls_transport *transport = job->transport;
    GstWebRTCICETransport *ice;
    GstPad *gate;
    DtlsEnc *enc;
    DtlsDec *dec;
    GstElement *sctp[2];

    dtls_timer_set(&transport->timer, -1);
    pthread_mutex_lock(&transport->lock);
    transport->over = true;
    g_clear_pointer(&transport->association, dtls_association_free);
    ice = g_steal_pointer(&transport->ice);
    gate = g_steal_pointer(&transport->gate);
    dec = g_steal_pointer(&transport->dec);
    memcpy(sctp, transport->sctp, sizeof sctp);
    memset(transport->sctp, 0, sizeof sctp);
    enc = g_steal_pointer(&transport->enc);
    pthread_mutex_unlock(&transport->lock);
    g_queue_clear_full(&transport->early, (GDestroyNotify)gst_buffer_unref);
    gst_clear_object(&ice);
    gst_clear_object(&gate);
    g_clear_object(&enc);
    g_clear_object(&dec);
    gst_clear_object(&sctp[0]);
    gst_clear_object(&sctp[1]);
    /* After the last packet of this leg on the SCTP thread. */
    sctp_thread_post(do_end, job);
}

/* --- SCTP packets of ours ----------------------------------------------------------------------
 */

#define DATA_PACKET_MAX 2048 /* webrtcbin's SCTP makes 1200 */

/* Under the lock. */
static void note_sack(struct dtls_transport *transport, guint8 *packet, gsize length)
{
    guint32 window = sctp_window_now(&transport->window);
    gsize at = sctp_packet_limit_window(packet, length, window);

    if (!at)
        return;
    sctp_window_granted(&transport->window, window);
    transport->sack_length =
        sctp_packet_repeat_sack(packet, length, at, 0, transport->sack, sizeof transport->sack);
}

/* Under the lock; what it makes is to be sent after it. */
static GQueue encipher(struct dtls_transport *transport, const guint8 *packet, gsize length)
{
    GQueue out;

    if (transport->association)
        dtls_association_send(transport->association, packet, length);
    out = transport->out;
    g_queue_init(&transport->out);
    return out;
}

static void send_all(struct dtls_transport *transport, GQueue *out)
{
    GBytes *datagram;

    while ((datagram = g_queue_pop_head(out)))
        transport->ops->send(transport->owner, datagram);
}

/* --- control thread --------------------------------------------------------------------------- */

void dtls_transport_set_peer(struct dtls_transport *transport,
                             const struct dtls_fingerprint *fingerprint, bool we_are_server)
{
    transport->fingerprint = *fingerprint;
    transport->we_are_server = we_are_server;
}

void dtls_transport_set_ice(struct dtls_transport *transport, GstWebRTCICEConnectionState state)
{
    post(transport, do_set_ice, (struct job){.ice_state = state});
}

void dtls_transport_receive(struct dtls_transport *transport, GBytes *datagram)
{
    gsize length;
    const void *data = g_bytes_get_data(datagram, &length);

    if (length == 0 || length > DTLS_DATAGRAM_MAX)
        return;
    if (atomic_load(&transport->queued) >=
            (atomic_load(&transport->connected) ? DTLS_QUEUED_DATA_MAX : DTLS_QUEUED_MAX) ||
        atomic_load(&transport->queued_octets) + length > DTLS_QUEUED_OCTETS)
        return;
    atomic_fetch_add(&transport->queued, 1);
    atomic_fetch_add(&transport->queued_octets, (guint)length);
    post(transport, do_receive, (struct job){.datagram = gst_buffer_new_memdup(data, length)});
}

void dtls_transport_hold_data(struct dtls_transport *transport, bool hold)
{
    GQueue data = G_QUEUE_INIT;
    DtlsDec *dec = NULL;

    pthread_mutex_lock(&transport->lock);
    transport->held = hold;
    if (!hold && transport->dec && transport->data.length > 0) {
        data = transport->data;
        g_queue_init(&transport->data);
        dec = g_object_ref(transport->dec);
    }
    pthread_mutex_unlock(&transport->lock);
    if (dec)
        pass_data(transport, dec, &data);
}

void dtls_transport_set_streams(struct dtls_transport *transport, guint max)
{
    pthread_mutex_lock(&transport->lock);
    transport->streams.max = max;
    transport->refused = false;
    pthread_mutex_unlock(&transport->lock);
}

/* webrtcbin's SCTP knows nothing of it, so an opened window is told here: the last SACK once more
 * (RFC 9260 6.2). Otherwise the peer would find out by probing, after its timer. */
static void tell_window(struct dtls_transport *transport)
{
    guint8 packet[sizeof transport->sack];
    GQueue out = G_QUEUE_INIT;
    guint32 window;
    gsize length;

    if (!sctp_window_has_opened(&transport->window, &window) || !atomic_load(&transport->connected))
        return;
    pthread_mutex_lock(&transport->lock);
    length = sctp_packet_repeat_sack(transport->sack, transport->sack_length, SCTP_HEADER, window,
                                     packet, sizeof packet);
    if (length > 0) {
        sctp_window_granted(&transport->window, window);
        out = encipher(transport, packet, length);
    }
    pthread_mutex_unlock(&transport->lock);
    send_all(transport, &out);
}

void dtls_transport_set_window(struct dtls_transport *transport, guint32 window)
{
    sctp_window_set(&transport->window, window);
    tell_window(transport);
}

void dtls_transport_message_seen(struct dtls_transport *transport, gsize octets)
{
    sctp_window_seen(&transport->window, octets, g_get_monotonic_time());
    tell_window(transport);
}

GBytes *dtls_transport_close(struct dtls_transport *transport, void (*then)(void *data), void *data)
{
    GBytes *farewell = NULL;

    /* The one thing of DTLS that is done on the control thread, some µs: the caller is about to let
     * go of the path on which it could be sent. Before `connected` nothing is said, and the lock,
     * on which a handshake could sit, is not touched. */
    if (atomic_load(&transport->connected)) {
        guint before;

        pthread_mutex_lock(&transport->lock);
        before = g_queue_get_length(&transport->out);
        if (transport->association)
            dtls_association_close(transport->association);
        if (g_queue_get_length(&transport->out) > before)
            farewell = g_queue_pop_tail(&transport->out);
        pthread_mutex_unlock(&transport->lock);
    }
    post(transport, do_close, (struct job){.then = then, .data = data});
    dtls_transport_unref(transport);
    return farewell;
}

/* --- webrtcbin's threads ---------------------------------------------------------------------- */

void dtls_transport_start(struct dtls_transport *transport, bool is_client)
{
    post(transport, do_start, (struct job){.is_client = is_client});
}

void dtls_transport_set_ice_transport(struct dtls_transport *transport, GstWebRTCICETransport *ice)
{
    pthread_mutex_lock(&transport->lock);
    if (!transport->over && !transport->ice)
        transport->ice = gst_object_ref(ice);
    pthread_mutex_unlock(&transport->lock);
}

static void set_enc(struct dtls_transport *transport, DtlsEnc *enc)
{
    dtls_enc_set_transport(enc, transport);
    pthread_mutex_lock(&transport->lock);
    if (!transport->over && !transport->enc)
        transport->enc = g_object_ref(enc);
    pthread_mutex_unlock(&transport->lock);
}

/* webrtcbin puts a queue, that is a thread, before the decoder. What comes is pushed by the DTLS
 * thread already, so the pads around it are joined and it stays behind, asleep. Returns the pad
 * that now feeds the decoder: webrtcbin blocks it until DTLS may run. Transfer full. */
static GstPad *bypass_queue(DtlsDec *dec)
{
    GstPad *sink = gst_element_get_static_pad(GST_ELEMENT(dec), "sink");
    GstPad *feeder = gst_pad_get_peer(sink);
    GstElement *queue = feeder ? gst_pad_get_parent_element(feeder) : NULL;
    GstElementFactory *factory = queue ? gst_element_get_factory(queue) : NULL;
    GstPad *queue_sink = NULL, *upstream = NULL;

    if (factory && strcmp(GST_OBJECT_NAME(factory), "queue") == 0)
        queue_sink = gst_element_get_static_pad(queue, "sink");
    upstream = queue_sink ? gst_pad_get_peer(queue_sink) : NULL;
    if (upstream) {
        gst_pad_unlink(upstream, queue_sink);
        gst_pad_unlink(feeder, sink);
        /* The leg may be going down while this is built: then it has been set to READY already. */
        gst_element_set_locked_state(queue, TRUE);
        gst_element_set_state(queue, GST_STATE_NULL);
        if (gst_pad_link(upstream, sink) == GST_PAD_LINK_OK)
            gst_object_replace((GstObject **)&feeder, GST_OBJECT(upstream));
    }
    gst_clear_object(&upstream);
    gst_clear_object(&queue_sink);
    gst_clear_object(&queue);
    gst_object_unref(sink);
    return feeder;
}

static void set_dec(struct dtls_transport *transport, DtlsDec *dec)
{
    GstPad *gate = bypass_queue(dec);

    dtls_dec_set_transport(dec, transport);
    pthread_mutex_lock(&transport->lock);
    if (!transport->over && !transport->gate)
        transport->gate = g_steal_pointer(&gate);
    if (!transport->over && !transport->dec)
        transport->dec = g_object_ref(dec);
    pthread_mutex_unlock(&transport->lock);
    gst_clear_object(&gate);
}

static void set_sctp(struct dtls_transport *transport, GstElement *sctp)
{
    pthread_mutex_lock(&transport->lock);
    for (guint i = 0; !transport->over && i < G_N_ELEMENTS(transport->sctp); i++)
        if (!transport->sctp[i]) {
            transport->sctp[i] = gst_object_ref(sctp);
            break;
        }
    pthread_mutex_unlock(&transport->lock);
}

void dtls_transport_adopt(GstBin *webrtcbin, GstElement *child, struct dtls_transport *transport)
{
    g_autoptr(GstIterator) children =
        GST_IS_BIN(child) ? gst_bin_iterate_elements(GST_BIN(child)) : NULL;
    GValue item = G_VALUE_INIT;

    if (sctp_elements_has(child))
        set_sctp(transport, child);
    while (children && gst_iterator_next(children, &item) == GST_ITERATOR_OK) {
        void *element = g_value_get_object(&item);

        if (DTLS_IS_ENC(element))
            set_enc(transport, element);
        else if (DTLS_IS_DEC(element))
            set_dec(transport, element);
        g_value_reset(&item);
    }
    g_value_unset(&item);
}

void dtls_transport_send_data(struct dtls_transport *transport, const guint8 *packet, gsize length)
{
    guint8 copy[DATA_PACKET_MAX], answer[DATA_PACKET_MAX];
    GQueue out, answers = G_QUEUE_INIT;
    DtlsDec *dec = NULL;
    gsize answer_length = 0;

    if (!atomic_load(&transport->connected) || length > sizeof copy)
        return;
    memcpy(copy, packet, length);
    pthread_mutex_lock(&transport->lock);
    if (transport->tag && transport->dec)
        answer_length =
            sctp_packet_answer_heartbeat(copy, length, transport->tag, answer, sizeof answer);
    if (answer_length > 0)
        dec = g_object_ref(transport->dec);
    note_sack(transport, copy, length);
    out = encipher(transport, copy, length);
    pthread_mutex_unlock(&transport->lock);
    send_all(transport, &out);
    tell_window(transport); /* it may have opened between the look at it and this */
    if (dec) {
        g_queue_push_tail(&answers, gst_buffer_new_memdup(answer, answer_length));
        pass_data(transport, dec, &answers);
    }
}

char *dtls_transport_peer_pem(struct dtls_transport *transport)
{
    char *pem = NULL;

    pthread_mutex_lock(&transport->lock);
    if (transport->association)
        pem = dtls_association_peer_pem(transport->association);
    pthread_mutex_unlock(&transport->lock);
    return pem;
}
