/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes is put into the pipeline first and into the relay when its first packet is there, so
 * that what is told of it is what flows; who leaves goes the other way round. A request may be of
 * several; what fails of it takes back those who came with it. */
#include "wmcf/pipeline-members.h"

#include "base/problem.h"
#include "wmcf/pipeline-inputs.h"
#include "wmcf/topology.h"

struct member {
    struct pipeline_members *owner;
    bool taken;          /* the place */
    bool there;          /* it plays */
    struct batch *batch; /* with which it comes; NULL then */
    char name[SDP_MAX_MID + 1];
    const char *codec; /* the template's word */
    char from[65], mid[SDP_MAX_MID + 1];
};

struct batch {
    struct pipeline_members *members;
    struct media_resource *resource;
    guint pending;
    bool starting;
    GError *error;
    pipeline_members_fn done;
    void *user;
};

struct pipeline_members {
    struct pipeline_members_config config;
    struct pipeline_input input; /* the repeated one */
    struct member list[MEDIA_RESOURCE_MEMBERS_MAX];
    GPtrArray *batches; /* under way */
};

static struct member *find(struct pipeline_members *members, const char *name)
{
    for (guint i = 0; i < members->config.places; i++)
        if (members->list[i].taken && strcmp(members->list[i].name, name) == 0)
            return &members->list[i];
    return NULL;
}

struct pipeline_members *pipeline_members_new(const struct pipeline_members_config *config)
{
    struct pipeline_members *members = g_new0(struct pipeline_members, 1);
    members->config = *config;
    members->batches = g_ptr_array_new();
    pipeline_text_repeated(config->text, &members->input);
    for (guint i = 0; i < config->places; i++)
        termination_add_media(config->termination, "",
                              members->input.video ? SDP_VIDEO : SDP_AUDIO);
    return members;
}

void pipeline_members_free(struct pipeline_members *members)
{
    if (!members)
        return;
    g_ptr_array_unref(members->batches);
    g_free(members);
}

const struct pipeline_input *pipeline_members_input(const struct pipeline_members *members,
                                                    const char *name)
{
    return find((struct pipeline_members *)members, name) ? &members->input : NULL;
}

static struct termination_media *media_at(const struct pipeline_members *members, guint place)
{
    return g_ptr_array_index(members->config.termination->medias, members->config.first + place);
}

/* --- what is asked for ------------------------------------------------------------------------ */

static bool is_name(const char *name)
{
    for (; *name; name++)
        if (!g_ascii_isalnum(*name) && *name != '-' && *name != '_')
            return false;
    return true;
}

/* Of a medium that is no member's, too. */
static bool is_used(const struct pipeline_members *members, const GArray *wishes, guint upto,
                    const char *name)
{
    for (guint i = 0; i < upto; i++) {
        const struct pipeline_member_wish *w =
            &g_array_index(wishes, struct pipeline_member_wish, i);
        if (strcmp(w->name, name) == 0)
            return true;
    }
    return find((struct pipeline_members *)members, name) ||
           termination_media(members->config.termination, name);
}

static void give_name(const struct pipeline_members *members, GArray *wishes, guint index)
{
    struct pipeline_member_wish *wish = &g_array_index(wishes, struct pipeline_member_wish, index);
    for (guint n = 1; *wish->name == '\0'; n++) {
        char name[SDP_MAX_MID + 1];
        g_snprintf(name, sizeof name, "%u", n);
        if (!is_used(members, wishes, wishes->len, name))
            g_strlcpy(wish->name, name, sizeof wish->name);
    }
}

/* The codec that comes from there, as the template has it: the one in force without another word
 * where nothing comes now. NULL and *error when it cannot be. */
static const char *codec_for(const struct pipeline_members *members,
                             const struct pipeline_member_wish *wish, const char *pointer,
                             GError **error)
{
    struct termination *t = members->config.termination;
    const struct pipeline_input *input = &members->input;
    if (!*wish->from)
        return input->codec;
    struct termination *from = context_termination(t->context, wish->from, error);
    const struct termination_media *media = from ? termination_media(from, wish->mid) : NULL;
    if (from && !media)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "termination %s has no mid %s",
                          wish->from, wish->mid);
    else if (from == t)
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                          "a pipeline does not take what it gives");
    else if (from && media->kind != (input->video ? SDP_VIDEO : SDP_AUDIO))
        problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer, "the input %s takes %s",
                          input->name, input->video ? "video" : "audio");
    else if (from)
        return pipeline_input_codec(input, from, wish->mid, pointer, error);
    return NULL;
}

bool pipeline_members_check(const struct pipeline_members *members, GArray *wishes, GError **error)
{
    guint n = 0;
    for (guint i = 0; i < members->config.places; i++)
        n += members->list[i].taken;
    for (guint i = 0; i < wishes->len; i++) {
        struct pipeline_member_wish *wish = &g_array_index(wishes, struct pipeline_member_wish, i);
        g_autofree char *pointer = g_strdup_printf("/inputs/%u", i);
        const struct member *known = find((struct pipeline_members *)members, wish->name);
        bool twice = false;
        for (guint o = 0; o < i; o++)
            twice |=
                *wish->name &&
                strcmp(g_array_index(wishes, struct pipeline_member_wish, o).name, wish->name) == 0;
        if (twice || !is_name(wish->name) ||
            (!known &&
             (wish->leaves ||
              (*wish->name && termination_media(members->config.termination, wish->name))))) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              wish->leaves ? "there is no member %s to remove"
                                           : "\"%s\" cannot be a member's name here",
                              wish->name);
            return false;
        }
        if (wish->leaves) {
            n--;
            continue;
        }
        const char *codec = codec_for(members, wish, pointer, error);
        if (!codec)
            return false;
        if (known && codec != known->codec && *wish->from) {
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "the member %s takes %s, and mid %s of %s sends %s", wish->name,
                              known->codec, wish->mid, wish->from, codec);
            return false;
        }
        n += !known;
        if (!known)
            give_name(members, wishes, i);
    }
    if (n <= members->config.places)
        return true;
    problem_set_param(error, PROBLEM_RESOURCES_UNAVAILABLE, "/inputs",
                      "the pipeline takes %u at a time, the limit (limits.pipeline_members)",
                      members->config.places);
    return false;
}

/* --- into the relay --------------------------------------------------------------------------- */

static void connect_member(struct pipeline_members *members, guint place)
{
    const struct member *member = &members->list[place];
    struct termination *t = members->config.termination;
    struct termination *from =
        *member->from ? context_termination(t->context, member->from, NULL) : NULL;
    if (from && !termination_media(from, member->mid))
        from = NULL;
    termination_connect_media(t, media_at(members, place), from, member->mid);
}

static void appear(struct pipeline_members *members, guint place)
{
    struct termination_media *media = media_at(members, place);
    struct policy_set nothing;
    members->list[place].there = true;
    g_strlcpy(media->mid, members->list[place].name, sizeof media->mid);
    members->config.changed(members->config.user);
    policy_set_init(&nothing);
    termination_apply_policies(members->config.termination, &nothing);
    policy_set_clear(&nothing);
    connect_member(members, place);
}

static void disconnect_receivers(struct termination *t, const char *mid)
{
    const struct context *context = t->context;
    for (guint i = 0; i < context->order->len; i++) {
        struct termination *other = g_ptr_array_index(context->order, i);
        for (guint m = 0; m < other->medias->len; m++) {
            struct termination_media *fed = g_ptr_array_index(other->medias, m);
            if (fed->source == t && strcmp(fed->source_mid, mid) == 0)
                termination_connect_media(other, fed, NULL, NULL);
        }
    }
}

/* Its place is free then; the pipeline's part is another matter. */
static void vanish(struct pipeline_members *members, guint place)
{
    struct member *member = &members->list[place];
    struct termination_media *media = media_at(members, place);
    if (member->there && members->config.termination->context) {
        disconnect_receivers(members->config.termination, media->mid);
        termination_connect_media(members->config.termination, media, NULL, NULL);
        *media->mid = '\0';
        members->config.changed(members->config.user);
    }
    *member = (struct member){0};
}

/* --- changes ---------------------------------------------------------------------------------- */

static void finish(struct batch *batch)
{
    struct pipeline_members *members = batch->members;
    if (batch->pending || batch->starting)
        return;
    for (guint i = 0; i < members->config.places; i++) {
        if (members->list[i].batch != batch)
            continue;
        members->list[i].batch = NULL;
        if (!batch->error)
            continue;
        media_resource_remove_member(batch->resource, i);
        vanish(members, i);
    }
    g_ptr_array_remove(members->batches, batch);
    batch->done(batch->user, batch->error);
    g_clear_error(&batch->error);
    g_free(batch);
}

static void on_added(void *user, const GError *error)
{
    struct member *member = user;
    struct pipeline_members *members = member->owner;
    struct batch *batch = member->batch;
    guint place = (guint)(member - members->list);
    if (!error)
        appear(members, place);
    else if (!batch->error)
        batch->error = g_error_copy(error);
    if (error)
        vanish(members, place);
    batch->pending--;
    finish(batch);
}

static void come(struct batch *batch, const struct pipeline_member_wish *wish)
{
    struct pipeline_members *members = batch->members;
    guint place = 0;
    while (place < members->config.places && members->list[place].taken)
        place++;
    const char *codec = codec_for(members, wish, "/inputs", &batch->error);
    struct pipeline_text *text =
        codec ? pipeline_text_member(members->config.text, wish->name, codec, &batch->error) : NULL;
    if (!text)
        return;
    struct member *member = &members->list[place];
    *member = (struct member){.owner = members, .taken = true, .batch = batch, .codec = codec};
    g_strlcpy(member->name, wish->name, sizeof member->name);
    g_strlcpy(member->from, wish->from, sizeof member->from);
    g_strlcpy(member->mid, wish->mid, sizeof member->mid);
    batch->pending++;
    if (media_resource_add_member(batch->resource, place, wish->name, text, on_added, member,
                                  &batch->error))
        return;
    batch->pending--;
    *member = (struct member){0};
}

static void leave(struct batch *batch, struct member *member)
{
    struct pipeline_members *members = batch->members;
    guint place = (guint)(member - members->list);
    struct batch *comes_with = member->there ? NULL : member->batch;
    vanish(members, place);
    media_resource_remove_member(batch->resource, place);
    if (!comes_with)
        return;
    /* It was not there yet, and nothing of it is told any more. */
    if (!comes_with->error)
        problem_set(&comes_with->error, PROBLEM_INVALID_STATE, "the member was removed meanwhile");
    comes_with->pending--;
    finish(comes_with);
}

void pipeline_members_change(struct pipeline_members *members, struct media_resource *resource,
                             const GArray *wishes, pipeline_members_fn done, void *user)
{
    struct batch *batch = g_new0(struct batch, 1);
    batch->members = members;
    batch->resource = resource;
    batch->done = done;
    batch->user = user;
    batch->starting = true;
    g_ptr_array_add(members->batches, batch);
    for (guint pass = 0; pass < 2; pass++) { /* who leaves makes room */
        for (guint i = 0; i < wishes->len && !batch->error; i++) {
            const struct pipeline_member_wish *wish =
                &g_array_index(wishes, struct pipeline_member_wish, i);
            struct member *member = find(members, wish->name);
            if (wish->leaves != (pass == 0))
                continue;
            if (wish->leaves && member) {
                leave(batch, member);
            } else if (member) {
                g_strlcpy(member->from, wish->from, sizeof member->from);
                g_strlcpy(member->mid, wish->mid, sizeof member->mid);
                if (member->there)
                    connect_member(members, (guint)(member - members->list));
            } else if (!wish->leaves) {
                come(batch, wish);
            }
        }
    }
    batch->starting = false;
    finish(batch);
}

void pipeline_members_close(struct pipeline_members *members, const GError *error)
{
    while (members->batches->len) {
        struct batch *batch = g_ptr_array_steal_index(members->batches, members->batches->len - 1);
        batch->done(batch->user, error);
        g_clear_error(&batch->error);
        g_free(batch);
    }
}

void pipeline_members_failed(struct pipeline_members *members, guint place, const GError *error)
{
    struct termination *t = members->config.termination;
    if (!t->context || !members->list[place].taken)
        return;
    g_autofree char *name = g_strdup(members->list[place].name);
    vanish(members, place);
    event_notify(t, EVENT_RESOURCE_FAILURE, name, json_pack("{s:s}", "reason", error->message));
}

/* --- looking ---------------------------------------------------------------------------------- */

guint pipeline_members_places(const struct pipeline_members *members)
{
    return members ? members->config.places : 0;
}

bool pipeline_members_gives(const struct pipeline_members *members,
                            const struct media_resource *resource, guint place)
{
    return members->list[place].there && media_resource_member_medium(resource, place);
}

const char *pipeline_members_codec(const struct pipeline_members *members, guint place)
{
    return members->list[place].codec;
}

void pipeline_members_describe(const struct pipeline_members *members,
                               const struct media_resource *resource, struct relay_media *medias)
{
    for (guint i = 0; i < members->config.places; i++) {
        const struct termination_media *media = media_at(members, i);
        const struct wmcf_sink_medium *given =
            resource ? media_resource_member_medium(resource, i) : NULL;
        medias[i].kind = members->input.video ? RELAY_VIDEO : RELAY_AUDIO;
        medias[i].local_ssrc = members->config.first + i + 1; /* seen by nobody else */
        if (!members->list[i].there) { /* one line stays that of one place: no mid looks so */
            g_snprintf(medias[i].mid, sizeof medias[i].mid, "~%u", i);
            continue;
        }
        pipeline_input_describe(media, members->list[i].codec, &medias[i]);
        medias[i].receive = given != NULL;
        medias[i].n_recv_codecs = given ? 1 : 0;
        if (given)
            medias[i].recv_codecs[0] = (struct relay_codec){.pt = given->pt,
                                                            .clock_rate = given->clock_rate,
                                                            .format = given->format,
                                                            .pli = true};
    }
}
