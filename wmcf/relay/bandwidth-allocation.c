/* SPDX-License-Identifier: Apache-2.0 */
/* Each time from the beginning, so that the result depends on the present alone; what keeps it from
 * swinging is that a step above the present choice costs a margin more, and has to be possible for
 * a while. A step that had to be taken back soon makes the next one wait longer. */
#include "wmcf/relay/bandwidth-allocation.h"

#include <string.h>

#define VIDEOS_MAX 64
#define MARGIN_PERCENT 15 /* a higher layer needs so much more than its rate */
#define KEEP_PERCENT 80   /* the lowest layer goes on with so much of it */
#define STAY_PERCENT 95   /* any other */
#define HOLD_US 600000
#define HOLD_MAX_US 2400000
#define RESUME_US 1000000
#define TAKEN_BACK_US 5000000
#define FORGIVEN_US 20000000
#define NONE (-1)

static bool same(const struct layer *a, const struct layer *b)
{
    return a->encoding == b->encoding && a->spatial == b->spatial && a->temporal == b->temporal;
}

/* Where the present choice is now; NONE = paused. Gone layers are replaced by what costs no more.
 */
static int present(const struct allocation_video *video)
{
    if (!video->begun || !video->running || video->n == 0)
        return NONE;
    for (unsigned i = 0; i < video->n; i++) {
        if (same(&video->layers[i], &video->chosen))
            return (int)i;
    }
    unsigned i = video->n - 1;
    while (i > 0 && video->layers[i].bitrate > video->chosen.bitrate)
        i--;
    return (int)i;
}

static uint64_t cost(const struct allocation_video *video, int present_choice, unsigned i)
{
    uint64_t rate = video->layers[i].bitrate;
    if ((int)i > present_choice)
        return rate * (100 + MARGIN_PERCENT) / 100;
    return rate * (i == 0 ? KEEP_PERCENT : STAY_PERCENT) / 100;
}

static bool allowed(const struct allocation_video *video, unsigned i)
{
    return i == 0 || !video->ceiling || video->layers[i].bitrate <= video->ceiling;
}

/* Indices by falling size, stable. */
static void rank(const struct allocation_video *videos, unsigned n, uint8_t *order)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned at = i;
        for (; at > 0 && videos[order[at - 1]].pixels < videos[i].pixels; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
}

/* A moment's estimate costs layers, not the picture. */
static bool pauses(struct allocation_video *video, bool fits,
                   const struct allocation_budget *budget, int64_t now)
{
    if (fits || !budget->proven) {
        video->lacking_since = 0;
        return false;
    }
    if (!video->lacking_since)
        video->lacking_since = now;
    return !video->begun || !video->running || now - video->lacking_since >= budget->pause_after;
}

static void divide(struct allocation_video *videos, unsigned n,
                   const struct allocation_budget *budget, const int *now_at, int64_t now,
                   int *target)
{
    uint8_t order[VIDEOS_MAX];
    int64_t left = (int64_t)budget->estimate - budget->reserved;
    for (unsigned i = 0; i < n; i++) {
        target[i] = NONE;
        if (videos[i].n == 0)
            continue;
        int64_t needs = (int64_t)cost(&videos[i], now_at[i], 0);
        if (pauses(&videos[i], needs <= left, budget, now))
            continue;
        target[i] = 0;
        left -= needs;
    }
    rank(videos, n, order);
    for (bool stepped = true; stepped;) {
        stepped = false;
        for (unsigned r = 0; r < n; r++) {
            unsigned i = order[r];
            unsigned next = (unsigned)(target[i] + 1);
            if (target[i] == NONE || next >= videos[i].n || !allowed(&videos[i], next))
                continue;
            int64_t more = (int64_t)cost(&videos[i], now_at[i], next) -
                           (int64_t)cost(&videos[i], now_at[i], next - 1);
            if (more > left)
                continue;
            left -= more;
            target[i] = (int)next;
            stepped = true;
        }
    }
}

static void choose(struct allocation_video *video, int choice)
{
    video->changed = !video->begun || video->running != (choice != NONE) ||
                     (choice != NONE && !same(&video->layers[choice], &video->chosen));
    video->begun = true;
    video->running = choice != NONE;
    if (choice == NONE)
        return;
    video->choice = (unsigned)choice;
    video->chosen = video->layers[choice];
}

static void follow(struct allocation_video *video, int now_at, int target, int64_t now)
{
    if (video->hold == 0 || now - video->raised_at > FORGIVEN_US)
        video->hold = HOLD_US;
    if (!video->begun || target == now_at) {
        video->higher_since = 0;
        choose(video, target);
        return;
    }
    if (target < now_at) {
        if (video->raised_at && now - video->raised_at < TAKEN_BACK_US && video->hold < HOLD_MAX_US)
            video->hold *= 2;
        video->higher_since = 0;
        choose(video, target);
        return;
    }
    if (!video->higher_since)
        video->higher_since = now;
    int64_t wait = video->hold;
    if (now_at == NONE && wait < RESUME_US)
        wait = RESUME_US;
    if (now - video->higher_since < wait) {
        choose(video, now_at);
        return;
    }
    video->higher_since = 0;
    video->raised_at = now;
    choose(video, target);
}

uint32_t bandwidth_allocate(struct allocation_video *videos, unsigned n,
                            const struct allocation_budget *budget, int64_t now)
{
    int now_at[VIDEOS_MAX], target[VIDEOS_MAX];
    uint64_t wanted = budget->reserved;
    if (n > VIDEOS_MAX)
        n = VIDEOS_MAX;
    for (unsigned i = 0; i < n; i++)
        now_at[i] = present(&videos[i]);
    divide(videos, n, budget, now_at, now, target);
    for (unsigned i = 0; i < n; i++) {
        struct allocation_video *video = &videos[i];
        if (video->n == 0) { /* nothing is sent: whatever comes may begin */
            video->begun = video->changed = false;
            continue;
        }
        follow(video, now_at[i], target[i], now);
        unsigned top = video->n - 1;
        while (top > 0 && !allowed(video, top))
            top--;
        wanted += (uint64_t)video->layers[top].bitrate * (100 + 2 * MARGIN_PERCENT) / 100;
    }
    return wanted > UINT32_MAX ? UINT32_MAX : (uint32_t)wanted;
}

uint32_t allocation_video_target(const struct allocation_video *video)
{
    return video->begun && video->running ? video->chosen.bitrate : 0;
}
