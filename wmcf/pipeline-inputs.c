/* SPDX-License-Identifier: Apache-2.0 */
/* An input is a subscription of the pipeline's local leg as any endpoint's: the relay gives it
 * layers, key frames and one unbroken stream. What is decided here is which medium goes where, and
 * with which codec: a pipeline is built for one, so it is that which is negotiated first. */
#include "wmcf/pipeline-inputs.h"

#include "base/problem.h"
#include "wmcf/pipeline-termination.h"

/* --- what comes ------------------------------------------------------------------------------- */

/* NULL: it is not received from there. */
static const char *codec_of(const struct termination *from, const char *mid, enum sdp_kind *ret)
{
    const char *name = NULL;
    g_autoptr(GArray) negotiated = termination_negotiated(from);
    for (guint i = 0; negotiated && i < negotiated->len; i++) {
        const struct sdp_negotiated_media *m =
            &g_array_index(negotiated, struct sdp_negotiated_media, i);
        if (strcmp(m->mid, mid) != 0 || !(m->direction & SDP_RECVONLY) || m->kind > SDP_VIDEO)
            continue;
        *ret = m->kind;
        if (from->pipeline)
            return pipeline_termination_codec(from->pipeline, mid);
        const struct sdp_known_codec *known = NULL;
        for (guint c = 0; m->recv_codecs && c < m->recv_codecs->len && !known; c++) {
            const struct sdp_codec *codec = &g_array_index(m->recv_codecs, struct sdp_codec, c);
            /* The relay takes what is redundant off for who has not negotiated it. */
            if (!sdp_codec_is_red(codec))
                known = sdp_known_codec_find(m->kind, codec->name);
        }
        name = known ? known->name : NULL;
    }
    return name;
}

static bool is_taken(const struct pipeline_input *matched, guint n, const char *name)
{
    for (guint i = 0; i < n; i++)
        if (strcmp(matched[i].name, name) == 0)
            return true;
    return false;
}

/* The template's name for it; NULL: there is none (left). */
static const char *place_for(const struct pipeline_input *places, guint n_places,
                             const struct pipeline_input_wanted *wanted, bool video,
                             const struct pipeline_input *matched, guint n)
{
    for (guint i = 0; i < n_places; i++) {
        bool fits =
            wanted->name ? strcmp(places[i].name, wanted->name) == 0 : places[i].video == video;
        if (fits && !places[i].repeated && !is_taken(matched, n, places[i].name))
            return places[i].name;
    }
    return NULL;
}

bool pipeline_inputs_match(const struct pipeline_template *t,
                           const struct pipeline_input_wanted *wanted, guint n,
                           struct pipeline_input *ret, GError **error)
{
    struct pipeline_input places[PIPELINE_INPUTS_MAX];
    guint n_places = pipeline_template_inputs(t, places);
    for (guint i = 0; i < n; i++) {
        g_autofree char *pointer = g_strdup_printf("/inputs/%u", i);
        enum sdp_kind kind = SDP_AUDIO;
        const char *codec = codec_of(wanted[i].from, wanted[i].mid, &kind);
        if (!codec) {
            problem_set_param(error, PROBLEM_INVALID_STATE, pointer,
                              "nothing is received from mid %s of termination %s", wanted[i].mid,
                              wanted[i].from->id);
            return false;
        }
        ret[i] = (struct pipeline_input){
            .video = kind == SDP_VIDEO,
            .codec = codec,
            .name = place_for(places, n_places, &wanted[i], kind == SDP_VIDEO, ret, i)};
        if (ret[i].name)
            continue;
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "the template has no %s%s%s",
                          wanted[i].name ? "free input " : "other input for ",
                          wanted[i].name ? wanted[i].name : sdp_kind_name(kind), "");
        return false;
    }
    return true;
}

bool pipeline_input_takes(const struct pipeline_text *text, const char *name,
                          const struct termination *from, const char *mid, const char *pointer,
                          GError **error)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    guint n = pipeline_text_inputs(text, inputs);
    enum sdp_kind kind = SDP_AUDIO;
    const char *codec = codec_of(from, mid, &kind);
    for (guint i = 0; i < n; i++) {
        if (strcmp(inputs[i].name, name) != 0)
            continue;
        if (codec && inputs[i].video == (kind == SDP_VIDEO) &&
            g_ascii_strcasecmp(codec, inputs[i].codec) == 0)
            return true;
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "the pipeline takes %s at %s, and mid %s of %s sends %s", inputs[i].codec,
                          name, mid, from->id, codec ? codec : "nothing");
        return false;
    }
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "the pipeline gives media at %s and takes none there", name);
    return false;
}

const char *pipeline_input_codec(const struct pipeline_input *input, const struct termination *from,
                                 const char *mid, const char *pointer, GError **error)
{
    enum sdp_kind kind = SDP_AUDIO;
    const char *codec = codec_of(from, mid, &kind);
    for (const char *const *word = input->codecs; *word && codec; word++)
        if (g_ascii_strcasecmp(*word, codec) == 0)
            return *word;
    if (!codec)
        return input->codec;
    g_autofree char *words = g_strjoinv(" or ", (char **)input->codecs);
    problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                      "the input %s takes %s, and mid %s of %s sends %s", input->name, words, mid,
                      from->id, codec);
    return NULL;
}

/* --- the m-lines ------------------------------------------------------------------------------ */

guint pipeline_input_codecs(const struct sdp_known_codec *codec, struct relay_codec *ret)
{
    guint n = 0;
    for (gsize i = 0; i < sdp_n_known_codecs && n < RELAY_CODECS_MAX; i++) {
        const struct sdp_known_codec *known = &sdp_known_codecs[i];
        struct sdp_codec described;
        if (known->kind != codec->kind || strcmp(known->name, codec->name) != 0)
            continue;
        sdp_codec_init_known(&described, known, known->pt);
        ret[n++] = (struct relay_codec){
            .pt = codec->pt, .clock_rate = codec->clock_rate, .format = described.format};
        g_free(described.name);
        g_free(described.fmtp);
    }
    return n;
}

void pipeline_input_describe(const struct termination_media *media, const char *codec,
                             struct relay_media *to)
{
    g_strlcpy(to->mid, media->mid, sizeof to->mid);
    to->kind = media->kind == SDP_VIDEO ? RELAY_VIDEO : RELAY_AUDIO;
    to->send = true;
    to->n_send_codecs =
        pipeline_input_codecs(sdp_known_codec_find(media->kind, codec), to->send_codecs);
    to->slot[QOS_UPLINK] = qos_flow_slot(media->flow, QOS_UPLINK);
    to->slot[QOS_DOWNLINK] = qos_flow_slot(media->flow, QOS_DOWNLINK);
}

guint pipeline_inputs_add(struct termination *t, const struct pipeline_text *text)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    guint n = pipeline_text_inputs(text, inputs);
    for (guint i = 0; i < n; i++)
        termination_add_media(t, inputs[i].name, inputs[i].video ? SDP_VIDEO : SDP_AUDIO);
    return n;
}

void pipeline_inputs_describe(const struct termination *t, const struct pipeline_text *text,
                              struct relay_media *medias)
{
    struct pipeline_input inputs[PIPELINE_INPUTS_MAX];
    guint n = pipeline_text_inputs(text, inputs);
    for (guint i = 0; i < n; i++) {
        medias[i].local_ssrc = i + 1; /* seen by nobody else */
        pipeline_input_describe(g_ptr_array_index(t->medias, i), inputs[i].codec, &medias[i]);
    }
}

void pipeline_inputs_connect(struct termination *t, const struct pipeline_input *matched,
                             const struct pipeline_input_wanted *wanted, guint n)
{
    for (guint i = 0; i < n; i++)
        termination_connect_media(t, termination_media(t, matched[i].name), wanted[i].from,
                                  wanted[i].mid);
}

/* --- the packets ------------------------------------------------------------------------------ */

struct passing {
    const struct wmcf_src_sink *sink;
    void *to;
};

static void on_packet(void *data, const uint8_t *rtp, size_t length, int64_t arrival)
{
    const struct passing *passing = data;
    const struct wmcf_src_packet packet = {.data = rtp, .length = length, .arrival = arrival};
    passing->sink->packet(passing->to, &packet);
}

static void on_clock(void *data, uint32_t timestamp, int64_t at)
{
    const struct passing *passing = data;
    passing->sink->clock(passing->to, timestamp, at);
}

guint pipeline_input_read(struct relay_local *local, guint index, const struct wmcf_src_sink *sink,
                          void *to)
{
    static const struct relay_local_reader reader = {.packet = on_packet, .clock = on_clock};
    struct passing passing = {.sink = sink, .to = to};
    return relay_local_read(local, index, &reader, &passing);
}
