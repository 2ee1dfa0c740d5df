/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a recorder per leg that sends something. What a recorder covers is remembered as "mid
 * codec", which the media centre tells again after a restart, so nothing is stored here: a leg
 * whose present media are all covered needs nothing, else a new file begins. One function compares
 * what is with what should be, whatever has happened. */
#define LOG_CATEGORY "recording"
#include "wsf/recording.h"

#include "base/loop.h"
#include "wsf/call.h"
#include "wsf/codec-text.h"
#include "wsf/context-pipeline.h"
#include "wsf/room.h"
#include "wsf-link/rate-limit.h"

#include <string.h>

/* What has run for so long and fails is begun anew; what fails sooner would fail again. */
#define WORTH_ANOTHER_US (10 * G_USEC_PER_SEC)

struct recordings {
    struct recording_rules *rules;
    GHashTable *recorders; /* the leg's mediaSessionId → struct recorder, owned */
    GHashTable *chosen;    /* session id → struct recording_rule, owned; of whom is recorded */
};

/* One leg's. */
struct recorder {
    struct wsf *wsf;
    char *media_session_id; /* of the leg */
    char *file;
    GPtrArray *covered;                /* "mid codec" */
    struct context_pipeline *pipeline; /* NULL: it has failed */
    bool running;                      /* it writes */
    bool shows;                        /* its party is told so: also from one file to the next */
    gint64 begun;
    struct rate_bucket files; /* that changes of its media may begin */
    struct loop_timer *later; /* for the next one; NULL until it has been needed */
};

/* --- table ---------------------------------------------------------------------------------------
 */

static void recorder_free(void *data)
{
    struct recorder *recorder = data;
    loop_timer_free(recorder->later);
    g_ptr_array_unref(recorder->covered);
    g_free(recorder->media_session_id);
    g_free(recorder->file);
    g_free(recorder);
}

struct recordings *recordings_new(const struct conf *conf, GError **error)
{
    struct recording_rules *rules = recording_rules_new(conf, error);
    if (!rules)
        return NULL;
    struct recordings *recordings = g_new0(struct recordings, 1);
    recordings->rules = rules;
    recordings->recorders = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, recorder_free);
    recordings->chosen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                               (GDestroyNotify)recording_rule_unref);
    return recordings;
}

void recordings_free(struct recordings *recordings)
{
    if (!recordings)
        return;
    g_hash_table_unref(recordings->recorders);
    g_hash_table_unref(recordings->chosen);
    recording_rules_free(recordings->rules);
    g_free(recordings);
}

bool recordings_reload(struct recordings *recordings, const struct conf *conf, GError **error)
{
    struct recording_rules *rules = recording_rules_new(conf, error);
    if (!rules)
        return false;
    recording_rules_free(recordings->rules);
    recordings->rules = rules;
    return true;
}

guint recordings_count(const struct recordings *recordings)
{
    GHashTableIter iter;
    gpointer value;
    guint n = 0;
    g_hash_table_iter_init(&iter, recordings->recorders);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += ((struct recorder *)value)->running;
    return n;
}

static struct recorder *recorder_of(const struct wsf *wsf, const struct leg *leg)
{
    return g_hash_table_lookup(wsf->recordings->recorders, leg->media_session_id);
}

/* In place of the leg's former one, whose rate goes on. */
static struct recorder *recorder_new(struct wsf *wsf, const struct leg *leg)
{
    const struct recorder *former = recorder_of(wsf, leg);
    struct recorder *recorder = g_new0(struct recorder, 1);
    if (former)
        recorder->files = former->files;
    recorder->wsf = wsf;
    recorder->media_session_id = g_strdup(leg->media_session_id);
    recorder->covered = g_ptr_array_new_with_free_func(g_free);
    recorder->begun = loop_now();
    g_hash_table_replace(wsf->recordings->recorders, recorder->media_session_id, recorder);
    return recorder;
}

static struct leg *leg_of(const struct recorder *recorder)
{
    return session_table_leg(recorder->wsf->sessions, recorder->media_session_id);
}

/* The rule that the conversation began with; NULL: it is not recorded. */
static struct recording_rule *rule_of(const struct wsf *wsf, const struct session *session)
{
    return g_hash_table_lookup(wsf->recordings->chosen, session->id);
}

/* A room's own section comes first; the row of the policy table is about calls to rooms, too. */
static void choose(struct wsf *wsf, const struct session *session)
{
    const struct room_rule *room = session->stay ? session->stay->room->rule : NULL;
    struct recordings *recordings = wsf->recordings;
    if (rule_of(wsf, session) || !session->wmcf)
        return;
    struct recording_rule *rule =
        recording_rules_find(recordings->rules, room ? room->record : NULL);
    if (!rule)
        rule = recording_rules_find(recordings->rules, policy_record(wsf->policy, session->policy));
    if (rule)
        g_hash_table_insert(recordings->chosen, g_strdup(session->id), recording_rule_ref(rule));
}

static struct log_ids leg_ids(const struct leg *leg)
{
    struct log_ids ids = session_ids(leg->session);
    ids.session = leg->media_session_id;
    return ids;
}

/* --- telling -------------------------------------------------------------------------------------
 */

/* Of a whole conversation. */
struct recorded {
    bool here;
    guint elsewhere; /* parties, other networks, that say they record */
};

static void add_recorded(const struct wsf *wsf, const struct session *session, struct recorded *ret)
{
    const struct leg *legs[] = {session->caller, session->winner};
    for (size_t i = 0; i < G_N_ELEMENTS(legs); i++) {
        const struct recorder *recorder = legs[i] ? recorder_of(wsf, legs[i]) : NULL;
        ret->here |= recorder && recorder->shows;
        ret->elsewhere += legs[i] && leg_is_live(legs[i]) && legs[i]->says_recording;
    }
}

static struct recorded recorded_of(const struct wsf *wsf, const struct session *session)
{
    const GPtrArray *stays = session->stay ? session->stay->room->stays : NULL;
    struct recorded recorded = {0};
    for (guint i = 0; stays && i < stays->len; i++)
        add_recorded(wsf, ((struct room_stay *)g_ptr_array_index(stays, i))->session, &recorded);
    if (!stays)
        add_recorded(wsf, session, &recorded);
    return recorded;
}

/* Who records itself is not told so. */
static void tell_leg(struct wsf *wsf, struct leg *leg, const struct recorded *recorded, bool again)
{
    if (!leg || !leg->endpoint || !leg_is_established(leg) || !leg_link(wsf, leg))
        return;
    bool recording = recorded->here || recorded->elsewhere > leg->says_recording;
    if (leg->told_recording == recording && !again)
        return;
    leg->told_recording = recording;
    leg_send_update(wsf, leg, json_pack("{s:b}", "recording", recording));
}

static void tell_session(struct wsf *wsf, struct session *session, const struct recorded *recorded)
{
    if (session->phase == CALL_ENDED)
        return;
    tell_leg(wsf, session->caller, recorded, false);
    tell_leg(wsf, session->winner, recorded, false);
}

/* To the whole conversation: in a room the recorder of one is everybody's matter. */
static void tell(struct wsf *wsf, struct session *session)
{
    struct recorded recorded = recorded_of(wsf, session);
    const GPtrArray *stays = session->stay ? session->stay->room->stays : NULL;
    tell_session(wsf, session, &recorded);
    for (guint i = 0; stays && i < stays->len; i++)
        tell_session(wsf, ((struct room_stay *)g_ptr_array_index(stays, i))->session, &recorded);
}

void recording_tell_again(struct wsf *wsf, struct leg *leg)
{
    const struct session *session = leg->session;
    if (session->context_id &&
        !context_pipelines_are_known(wsf->pipelines, session->wmcf, session->context_id))
        return; /* what it was told holds until it is known how it is */
    bool concerned = rule_of(wsf, session) || leg->told_recording;
    struct recorded recorded = recorded_of(wsf, session);
    tell_leg(wsf, leg, &recorded, concerned);
}

void recording_heard(struct wsf *wsf, struct leg *leg, bool recording)
{
    leg->says_recording = recording;
    tell(wsf, leg->session);
}

/* --- one recorder --------------------------------------------------------------------------------
 */

/* The codec that a file would hold; what is only repaired or repeated by it is none. */
static const char *codec_of(const struct offer_media *media)
{
    for (guint i = 0; i < media->codecs->len; i++) {
        const char *codec = g_ptr_array_index(media->codecs, i);
        if (g_ascii_strcasecmp(codec, "red") != 0)
            return codec;
    }
    return NULL;
}

static char *medium_of(const char *mid, const char *codec)
{
    g_autofree char *name = codec_text_name(codec);
    g_autofree char *lower = g_ascii_strdown(name, -1);
    return g_strconcat(mid, " ", lower, NULL);
}

/* "mid codec" of what the endpoint may send now. */
static GPtrArray *sent_by(const struct leg *leg)
{
    GPtrArray *sent = g_ptr_array_new_with_free_func(g_free);
    bool able = leg->endpoint && leg_is_live(leg) && leg->termination_id && leg->negotiated;
    for (guint i = 0; able && i < leg->negotiated->medias->len; i++) {
        const struct offer_media *media = g_ptr_array_index(leg->negotiated->medias, i);
        const char *codec = codec_of(media);
        if (!media->rejected && (media->direction & MEDIA_SENDONLY) && codec &&
            media->kind != MEDIA_APPLICATION)
            g_ptr_array_add(sent, medium_of(media->mid, codec));
    }
    return sent;
}

/* Not less either: a file whose picture does not come waits for it before it writes more of the
 * sound, and what waits would be lost in a crash. */
static bool covers(const struct recorder *recorder, const GPtrArray *sent)
{
    if (sent->len != recorder->covered->len)
        return false;
    for (guint i = 0; i < sent->len; i++)
        if (!g_ptr_array_find_with_equal_func(recorder->covered, g_ptr_array_index(sent, i),
                                              g_str_equal, NULL))
            return false;
    return true;
}

/* Who sends here, as the other side is told. */
static const char *party_of(const struct leg *leg)
{
    const struct session *session = leg->session;
    const char *shown = leg->caller ? session->asserted_caller : leg->asserted;
    return shown ? shown : leg->webrtc_id;
}

static char *file_for(const struct leg *leg, const struct recording_rule *rule)
{
    const struct session *session = leg->session;
    const struct recording_names names = {.called = session->called,
                                          .caller = session->asserted_caller,
                                          .participant = party_of(leg),
                                          .session = session->id,
                                          .wall = g_get_real_time()};
    return recording_rule_file(rule, &names);
}

static json_t *inputs_of(const struct leg *leg, const GPtrArray *sent)
{
    json_t *inputs = json_array();
    for (guint i = 0; i < sent->len; i++) {
        g_autofree char *mid = g_strdup(g_ptr_array_index(sent, i));
        *strchr(mid, ' ') = '\0';
        json_array_append_new(
            inputs, json_pack("{s:s, s:s}", "terminationId", leg->termination_id, "mid", mid));
    }
    return inputs;
}

static void begin(struct wsf *wsf, struct leg *leg, const struct recording_rule *rule,
                  const GPtrArray *sent, bool shows)
{
    const struct session *session = leg->session;
    struct recorder *recorder = recorder_new(wsf, leg);
    json_t *parameters = json_loads(rule->parameters, 0, NULL);
    recorder->shows = shows;
    recorder->file = file_for(leg, rule);
    for (guint i = 0; i < sent->len; i++)
        g_ptr_array_add(recorder->covered, g_strdup(g_ptr_array_index(sent, i)));
    json_object_set_new(parameters, "file", json_string(recorder->file));
    const struct context_pipeline_config config = {
        .kind = &recording_kind,
        .wmcf = session->wmcf,
        .context_id = session->context_id,
        .template = rule->template,
        .parameters = parameters,
        .inputs = inputs_of(leg, sent),
        .app_data = json_pack("{s:s, s:s}", "leg", leg->media_session_id, "file", recorder->file),
        .user = recorder,
    };
    recorder->pipeline = context_pipeline_add(wsf, &config);
}

static void end_unrecorded(struct wsf *wsf, struct session *session, const char *why)
{
    g_autoptr(GError) error = NULL;
    problem_set(&error, PROBLEM_WMCF_ERROR, "this conversation must be recorded, and %s", why);
    call_end(wsf, session, DISC_MEDIA_FAILURE, error, NULL, NULL);
}

static void on_later(void *data)
{
    struct recorder *recorder = data;
    struct wsf *wsf = recorder->wsf;
    struct leg *leg = leg_of(recorder);
    const struct recording_rule *rule = leg ? rule_of(wsf, leg->session) : NULL;
    if (!rule || leg->session->phase == CALL_ENDED)
        return;
    g_autoptr(GPtrArray) sent = sent_by(leg);
    if (rule->required && sent->len > 0 && !covers(recorder, sent))
        end_unrecorded(wsf, leg->session, "nobody's media may change so often for that");
    else
        recording_follow(wsf, leg->session);
}

/* Whoever turns a camera on and off begins a file each time: not as often as one can turn. Where
 * nothing may go on unrecorded, that is the end, once whoever has brought it here is through. */
static bool may_begin(struct recorder *recorder, const struct recording_rule *rule)
{
    /* A bucket fills by the second, files are counted by the minute. */
    gint64 now = loop_now() / 60;
    guint rate = rule->files_per_minute;
    if (rate_take(&recorder->files, rate, rate, now))
        return true;
    if (!recorder->later)
        recorder->later = loop_timer_new("recording-later", on_later, recorder);
    guint wait_ms = rate_wait_ms(&recorder->files, rate, rate, now) * 60;
    loop_timer_start(recorder->later, rule->required ? 1 : wait_ms + 1);
    return false;
}

/* What changes again before the next file may begin is none of its. */
static void follow_leg(struct wsf *wsf, struct leg *leg, const struct recording_rule *rule)
{
    struct recorder *recorder = recorder_of(wsf, leg);
    g_autoptr(GPtrArray) sent = sent_by(leg);
    if (sent->len == 0 || (recorder && (covers(recorder, sent) || !may_begin(recorder, rule))))
        return;
    bool shows = recorder && recorder->shows;
    if (recorder)
        context_pipeline_end(g_steal_pointer(&recorder->pipeline));
    begin(wsf, leg, rule, sent, shows);
}

/* --- the conversation ----------------------------------------------------------------------------
 */

void recording_follow(struct wsf *wsf, struct session *session)
{
    const struct recording_rule *rule = rule_of(wsf, session);
    /* What a change in progress has agreed on is not in force yet: its end comes here again. */
    bool ready = rule && session->phase != CALL_ENDED && !session->change && session->context_id &&
                 session->winner &&
                 context_pipelines_are_known(wsf->pipelines, session->wmcf, session->context_id);
    if (ready) {
        follow_leg(wsf, session->caller, rule);
        follow_leg(wsf, session->winner, rule);
    }
    tell(wsf, session);
}

static bool is_waited_for(const struct wsf *wsf, const struct leg *leg)
{
    const struct recorder *recorder = recorder_of(wsf, leg);
    g_autoptr(GPtrArray) sent = sent_by(leg);
    return sent->len > 0 && (!recorder || !recorder->running);
}

bool recording_ready(struct wsf *wsf, struct session *session)
{
    choose(wsf, session);
    const struct recording_rule *rule = rule_of(wsf, session);
    recording_follow(wsf, session);
    return !rule || !rule->required ||
           (!is_waited_for(wsf, session->caller) && !is_waited_for(wsf, session->winner));
}

void recording_leg_over(struct wsf *wsf, struct leg *leg)
{
    struct recorder *recorder = recorder_of(wsf, leg);
    if (recorder) {
        context_pipeline_end(g_steal_pointer(&recorder->pipeline));
        g_hash_table_remove(wsf->recordings->recorders, leg->media_session_id);
    }
    if (leg->caller)
        g_hash_table_remove(wsf->recordings->chosen, leg->session->id);
    tell(wsf, leg->session);
}

/* --- what comes of a pipeline --------------------------------------------------------------------
 */

/* Names of files tell who calls; logs that do not must not do it by them. */
static const char *file_log(const struct recorder *recorder, const struct leg *leg)
{
    bool plain = strcmp(identity_log(leg->webrtc_id), leg->webrtc_id) == 0;
    return plain ? recorder->file : "a file";
}

/* … nor by the words of an error that has it. Transfer full. */
static char *words_log(const struct recorder *recorder, const struct leg *leg, const GError *error)
{
    const char *words = error ? error->message : "the pipeline has come to its end";
    g_auto(GStrv) parts = g_strsplit(words, recorder->file, -1);
    return g_strjoinv(file_log(recorder, leg), parts);
}

static void on_added(struct context_pipeline *pipeline)
{
    struct recorder *recorder = context_pipeline_user(pipeline);
    struct leg *leg = leg_of(recorder);
    if (!leg)
        return;
    struct log_ids ids = leg_ids(leg);
    ids.termination = context_pipeline_termination(pipeline);
    recorder->running = recorder->shows = true;
    log_info(&ids, "what %s sends is recorded in %s", identity_log(party_of(leg)),
             file_log(recorder, leg));
    tell(recorder->wsf, leg->session);
    call_check_connected(recorder->wsf, leg->session); /* the gates may have waited for it */
}

static void on_over(struct context_pipeline *pipeline, enum context_pipeline_end end,
                    const GError *error)
{
    struct recorder *recorder = context_pipeline_user(pipeline);
    struct wsf *wsf = recorder->wsf;
    struct leg *leg = leg_of(recorder);
    bool again = recorder->running && loop_now() - recorder->begun > WORTH_ANOTHER_US;
    recorder->pipeline = NULL;
    recorder->running = recorder->shows = false;
    const struct recording_rule *rule = leg ? rule_of(wsf, leg->session) : NULL;
    if (!rule || leg->session->phase == CALL_ENDED)
        return;
    struct log_ids ids = leg_ids(leg);
    g_autofree char *words = words_log(recorder, leg, error);
    log_error(&ids, "the recording of %s in %s by template %s has %s: %s; %s",
              identity_log(party_of(leg)), file_log(recorder, leg), rule->template,
              end == CONTEXT_PIPELINE_REFUSED ? "not begun" : "ended", words,
              again            ? "a new file begins"
              : rule->required ? "the conversation ends, for it is required"
                               : "the conversation goes on without it");
    if (again) {
        g_ptr_array_set_size(recorder->covered, 0);
        recording_follow(wsf, leg->session);
    } else if (rule->required) {
        end_unrecorded(wsf, leg->session, "that is not possible at the moment");
    } else {
        tell(wsf, leg->session);
    }
}

/* --- after a restart -----------------------------------------------------------------------------
 */

/* `medias` of the pipeline: what each takes, and from where. */
static void read_covered(struct recorder *recorder, const struct leg *leg, const json_t *medias)
{
    size_t i;
    json_t *media;
    json_array_foreach((json_t *)medias, i, media)
    {
        const json_t *source = json_object_get(media, "source");
        const char *from = json_string_value(json_object_get(source, "terminationId"));
        const char *mid = json_string_value(json_object_get(source, "mid"));
        const char *codec = json_string_value(json_array_get(json_object_get(media, "codecs"), 0));
        if (mid && codec && g_strcmp0(from, leg->termination_id) == 0)
            g_ptr_array_add(recorder->covered, medium_of(mid, codec));
    }
}

static bool on_adopt(struct wsf *wsf, struct context_pipeline *pipeline, const json_t *app_data)
{
    const char *media_session_id = json_string_value(json_object_get(app_data, "leg"));
    const char *file = json_string_value(json_object_get(app_data, "file"));
    struct leg *leg = media_session_id ? session_table_leg(wsf->sessions, media_session_id) : NULL;
    const struct recorder *former = leg ? recorder_of(wsf, leg) : NULL;
    /* One whose `add` was not heard is there after all. */
    if (!leg || !leg_is_live(leg) || (former && former->pipeline))
        return false;
    choose(wsf, leg->session);
    if (!rule_of(wsf, leg->session)) {
        leg->told_recording = true; /* as long as it ran: that it ends is told */
        return false;
    }
    struct recorder *recorder = recorder_new(wsf, leg);
    recorder->file = g_strdup(file ? file : "?");
    recorder->pipeline = pipeline;
    recorder->running = recorder->shows = true;
    read_covered(recorder, leg, context_pipeline_medias(pipeline));
    context_pipeline_set_user(pipeline, recorder);
    return true;
}

static void on_looked(struct wsf *wsf, const char *wmcf, const char *context_id)
{
    g_autoptr(GPtrArray) sessions = session_table_in_context(wsf->sessions, wmcf, context_id);
    for (guint i = 0; i < sessions->len; i++) {
        struct session *session = g_ptr_array_index(sessions, i);
        if (session->phase == CALL_ENDED)
            continue;
        if (session->gates_asked)
            choose(wsf, session);
        recording_follow(wsf, session);
        call_check_connected(wsf, session);
    }
}

const struct context_pipeline_kind recording_kind = {
    .name = "record",
    .added = on_added,
    .over = on_over,
    .adopt = on_adopt,
    .looked = on_looked,
};
