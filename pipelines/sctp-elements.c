/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the corrections to webrtcbin's SCTP. GStreamer 1.22 picks the number of an association at
 * random among 65535 for the whole process (two legs with one number would share a stack), ends a
 * text at its first NUL, cannot send an empty message (RFC 8831 6.6), and takes the parameter of
 * partial reliability in the wrong order of octets. So numbers are given out here; and between
 * webrtcbin's channels and its SCTP every message has one octet more that says what it is: there is
 * one kind of message then, never empty, without an end of its own. */
#include "pipelines/sctp-elements.h"

#include "pipelines/sctp-packet.h"

#include <gst/sctp/sctpreceivemeta.h>
#include <gst/sctp/sctpsendmeta.h>
#include <stdatomic.h>
#include <string.h>

enum { MARK_BINARY = 'b', MARK_TEXT = 't' };
#define NUMBERS 65535 /* what the elements' property takes; the last is the keeper's */

struct sctp_elements {
    _Atomic guint references;
    guint number; /* of the association; 0 = none yet. webrtcbin's thread */
};

static struct {
    GMutex lock;
    guint8 taken[NUMBERS / 8 + 1];
    guint last;
    GstElement *keeper; /* the stack is torn down with its last association, timers and all, and
                         * that has races: one that never connects holds it */
} numbers;

/* --- associations that have ended --------------------------------------------------------------
 */

/* The stack's timer thread may be saying a chunk again while its association ends, and then asks
 * the object for its way out: it crashed on memory that was somebody else's. So an association
 * rests for a while before it is freed. */
#define REST_US (5 * G_USEC_PER_SEC)

struct resting {
    GObject *association; /* the last reference */
    gint64 since;
};
static struct {
    GMutex lock;
    GQueue queue; /* struct resting */
    void (*stock_dispose)(GObject *association);
} resting = {.queue = G_QUEUE_INIT};

/* Frees those that have rested until then. */
static void wake_resting(gint64 until)
{
    for (;;) {
        g_mutex_lock(&resting.lock);
        struct resting *first = g_queue_peek_head(&resting.queue);
        if (first && first->since <= until)
            g_queue_pop_head(&resting.queue);
        else
            first = NULL;
        g_mutex_unlock(&resting.lock);
        if (!first)
            return;
        g_object_unref(first->association);
        g_free(first);
    }
}

static void dispose_association(GObject *association)
{
    static const char has_rested[] = "has-rested";
    gint64 now = g_get_monotonic_time();

    if (g_object_get_data(association, has_rested)) {
        resting.stock_dispose(association);
        return;
    }
    struct resting *one = g_new(struct resting, 1);
    *one = (struct resting){.association = g_object_ref(association), .since = now};
    g_object_set_data(association, has_rested, one);
    g_mutex_lock(&resting.lock);
    g_queue_push_tail(&resting.queue, one);
    g_mutex_unlock(&resting.lock);
    wake_resting(now - REST_US);
}

/* Once there is one: the type is the plug-in's own. */
static void let_associations_rest(void)
{
    GObjectClass *class = g_type_class_peek(g_type_from_name("GstSctpAssociation"));

    if (!class || class->dispose == dispose_association)
        return;
    resting.stock_dispose = class->dispose;
    class->dispose = dispose_association;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void keep_stack(void)
{
    if (numbers.keeper)
        return;
    numbers.keeper = gst_element_factory_make("sctpdec", NULL);
    if (!numbers.keeper)
        return;
    gst_object_ref_sink(numbers.keeper);
    g_object_set(numbers.keeper, "sctp-association-id", NUMBERS, NULL);
    gst_element_set_state(numbers.keeper, GST_STATE_PAUSED);
    let_associations_rest();
}

static guint take_number(void)
{
    guint number = 0;

    g_mutex_lock(&numbers.lock);
    keep_stack();
    for (guint tries = 0; tries < NUMBERS - 1 && !number; tries++) {
        guint next = numbers.last = numbers.last % (NUMBERS - 1) + 1;

        if (!(numbers.taken[next / 8] & 1 << next % 8))
            number = next;
    }
    numbers.taken[number / 8] |= (guint8)(1 << number % 8);
    g_mutex_unlock(&numbers.lock);
    return number;
}

static void give_number(guint number)
{
    g_mutex_lock(&numbers.lock);
    numbers.taken[number / 8] &= (guint8) ~(1 << number % 8);
    g_mutex_unlock(&numbers.lock);
}

void sctp_elements_finish(void)
{
    g_mutex_lock(&numbers.lock);
    if (numbers.keeper)
        gst_element_set_state(numbers.keeper, GST_STATE_NULL);
    gst_clear_object(&numbers.keeper);
    g_mutex_unlock(&numbers.lock);
    wake_resting(G_MAXINT64);
}

struct sctp_elements *sctp_elements_new(void)
{
    struct sctp_elements *elements = g_new0(struct sctp_elements, 1);

    atomic_init(&elements->references, 1);
    return elements;
}

struct sctp_elements *sctp_elements_ref(struct sctp_elements *elements)
{
    atomic_fetch_add_explicit(&elements->references, 1, memory_order_relaxed);
    return elements;
}

void sctp_elements_unref(struct sctp_elements *elements)
{
    if (atomic_fetch_sub(&elements->references, 1) != 1)
        return;
    if (elements->number)
        give_number(elements->number);
    g_free(elements);
}

/* --- marks ------------------------------------------------------------------------------------ */

GBytes *sctp_message_mark(GBytes *message, bool text)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(message, &length);
    guint8 *marked = g_malloc(length + SCTP_MARK_OCTETS);

    if (length > 0)
        memcpy(marked, data, length);
    marked[length] = text ? MARK_TEXT : MARK_BINARY;
    return g_bytes_new_take(marked, length + SCTP_MARK_OCTETS);
}

GBytes *sctp_message_unmark(GBytes *marked, bool *ret_text)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(marked, &length);

    if (length < SCTP_MARK_OCTETS)
        return NULL;
    *ret_text = data[length - 1] == MARK_TEXT;
    return g_bytes_new_from_bytes(marked, 0, length - SCTP_MARK_OCTETS);
}

static void append_octet(GstBuffer *buffer, guint8 octet)
{
    guint8 *data = g_memdup2(&octet, 1);

    gst_buffer_append_memory(buffer, gst_memory_new_wrapped(0, data, 1, 0, 1, data, g_free));
}

/* RFC 8832 5: webrtcbin takes much for granted of an OPEN. */
static bool good_control(GstBuffer *buffer)
{
    enum { ACK = 2, OPEN = 3, OPEN_FIXED = 12 };
    GstMapInfo map;
    bool good = false;

    if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
        return false;
    if (map.size >= OPEN_FIXED && map.data[0] == OPEN) {
        gsize label = (gsize)map.data[8] << 8 | map.data[9];
        gsize protocol = (gsize)map.data[10] << 8 | map.data[11];
        const char *text = (const char *)map.data + OPEN_FIXED;

        good = map.size == OPEN_FIXED + label + protocol &&
               g_utf8_validate_len(text, label, NULL) &&
               g_utf8_validate_len(text + label, protocol, NULL);
    } else if (map.size == 1) {
        good = map.data[0] == ACK;
    }
    gst_buffer_unmap(buffer, &map);
    return good;
}

/* A peer's message, on the stream's thread. */
static GstPadProbeReturn mark_received(GstPad *pad, GstPadProbeInfo *info, void *unused)
{
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    GstSctpReceiveMeta *meta = gst_sctp_buffer_get_receive_meta(buffer);
    guint8 mark;

    if (!meta)
        return GST_PAD_PROBE_DROP;
    if (meta->ppid == SCTP_PPID_CONTROL)
        return good_control(buffer) ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
    info->data = buffer = gst_buffer_make_writable(buffer);
    meta = gst_sctp_buffer_get_receive_meta(buffer);
    switch ((enum sctp_ppid)meta->ppid) {
    case SCTP_PPID_TEXT:
    case SCTP_PPID_TEXT_PARTIAL:
        mark = MARK_TEXT;
        break;
    case SCTP_PPID_BINARY:
    case SCTP_PPID_BINARY_PARTIAL:
        mark = MARK_BINARY;
        break;
    case SCTP_PPID_TEXT_EMPTY:
    case SCTP_PPID_BINARY_EMPTY:
        mark = meta->ppid == SCTP_PPID_TEXT_EMPTY ? MARK_TEXT : MARK_BINARY;
        gst_buffer_remove_all_memory(buffer);
        break;
    default:
        return GST_PAD_PROBE_DROP;
    }
    append_octet(buffer, mark);
    meta->ppid = SCTP_PPID_BINARY;
    return GST_PAD_PROBE_OK;
}

/* A message of ours, on the channel's thread. */
static GstPadProbeReturn unmark_sent(GstPad *pad, GstPadProbeInfo *info, void *unused)
{
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    GstSctpSendMeta *meta = gst_sctp_buffer_get_send_meta(buffer);
    gsize length = gst_buffer_get_size(buffer);
    guint8 mark = 0;

    if (!meta || meta->ppid != SCTP_PPID_BINARY || length < SCTP_MARK_OCTETS)
        return GST_PAD_PROBE_OK;
    info->data = buffer = gst_buffer_make_writable(buffer);
    meta = gst_sctp_buffer_get_send_meta(buffer);
    /* The element swaps it, and the stack takes it as it is; a lifetime of 0 would be none. The
     * flow test "partial" tells when a GStreamer has put this right. */
    if (meta->pr == GST_SCTP_SEND_META_PARTIAL_RELIABILITY_TTL)
        meta->pr_param = MAX(meta->pr_param, 1);
    meta->pr_param = GUINT32_TO_BE(meta->pr_param);
    gst_buffer_extract(buffer, length - 1, &mark, 1);
    if (length == SCTP_MARK_OCTETS) {
        /* RFC 8831 6.6: an empty message is one zero octet that is not looked at. */
        gst_buffer_remove_all_memory(buffer);
        append_octet(buffer, 0);
        meta->ppid = mark == MARK_TEXT ? SCTP_PPID_TEXT_EMPTY : SCTP_PPID_BINARY_EMPTY;
    } else {
        gst_buffer_resize(buffer, 0, (gssize)(length - SCTP_MARK_OCTETS));
        meta->ppid = mark == MARK_TEXT ? SCTP_PPID_TEXT : SCTP_PPID_BINARY;
    }
    return GST_PAD_PROBE_OK;
}

/* --- elements --------------------------------------------------------------------------------- */

static void on_pad_added(GstElement *element, GstPad *pad, void *unused)
{
    if (g_str_has_prefix(GST_OBJECT_NAME(pad), "src_"))
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, mark_received, NULL, NULL);
    else if (g_str_has_prefix(GST_OBJECT_NAME(pad), "sink_"))
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, unmark_sent, NULL, NULL);
}

static bool is_sctp(GstElement *element)
{
    GstElementFactory *factory = gst_element_get_factory(element);

    return factory && (strcmp(GST_OBJECT_NAME(factory), "sctpdec") == 0 ||
                       strcmp(GST_OBJECT_NAME(factory), "sctpenc") == 0);
}

bool sctp_elements_has(GstElement *element)
{
    return is_sctp(element);
}

/* A channel's bin keeps the errors of its elements to itself, and never releases them: message and
 * element would stay for good, which a peer causes by each end of a leg with open channels. */
static void (*stock_handle_message)(GstBin *bin, GstMessage *message);

static void handle_message(GstBin *bin, GstMessage *message)
{
    bool error = GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR;

    gst_message_ref(message);
    stock_handle_message(bin, message);
    /* Just made, and handed on to nobody: a second holder is the one who forgot it. */
    if (error && GST_MINI_OBJECT_REFCOUNT_VALUE(message) > 1)
        gst_message_unref(message);
    gst_message_unref(message);
}

static void release_errors(GstElement *channel_bin)
{
    GstBinClass *class = GST_BIN_GET_CLASS(channel_bin);

    g_mutex_lock(&numbers.lock);
    if (class->handle_message != handle_message) {
        stock_handle_message = class->handle_message;
        class->handle_message = handle_message;
    }
    g_mutex_unlock(&numbers.lock);
}

void sctp_elements_adopt(GstBin *webrtcbin, GstElement *child, struct sctp_elements *elements)
{
    if (strcmp(G_OBJECT_TYPE_NAME(child), "WebRTCErrorIgnoreBin") == 0)
        release_errors(child);
    if (!is_sctp(child))
        return;
    if (!elements->number)
        elements->number = take_number();
    g_object_set(child, "sctp-association-id", elements->number, NULL);
    g_signal_connect(child, "pad-added", G_CALLBACK(on_pad_added), NULL);
}

bool sctp_elements_is_source(const GstMessage *message)
{
    return GST_IS_ELEMENT(GST_MESSAGE_SRC(message)) &&
           is_sctp(GST_ELEMENT(GST_MESSAGE_SRC(message)));
}
