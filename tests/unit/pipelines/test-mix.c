/* SPDX-License-Identifier: Apache-2.0 */
/* What a mixer is made of: sums less one's own, what is too loud, and samples that find their
 * places in time, early, late, and of a clock that goes wrong. */
#include "pipelines/mix-input.h"
#include "pipelines/mix-sum.h"

#define N 960

static void fill(gint16 *to, guint n, gint16 value)
{
    for (guint i = 0; i < n; i++)
        to[i] = value;
}

static void test_own_is_left_out(void)
{
    gint32 sum[N] = {0};
    gint16 one[N], two[N], three[N], out[N];
    struct mix_limiter limiter;
    mix_limiter_init(&limiter);
    for (guint i = 0; i < N; i++) {
        one[i] = (gint16)(i * 3);
        two[i] = (gint16)(1000 - (int)i);
        three[i] = -7;
    }
    mix_sum_add(sum, one, N);
    mix_sum_add(sum, two, N);
    mix_sum_add(sum, three, N);
    mix_sum_without(out, sum, two, N, &limiter);
    for (guint i = 0; i < N; i++)
        g_assert_cmpint(out[i], ==, one[i] - 7);
    mix_sum_without(out, sum, NULL, N, &limiter);
    for (guint i = 0; i < N; i++)
        g_assert_cmpint(out[i], ==, one[i] + two[i] - 7);
}

/* Nothing wraps, the form stays after the first 2 ms, and the loudness comes back. */
static void test_too_loud(void)
{
    gint16 loud[N], out[N];
    struct mix_limiter limiter;
    mix_limiter_init(&limiter);
    for (guint i = 0; i < N; i++)
        loud[i] = i % 2 ? 30000 : -30000;
    gint32 sum[N] = {0};
    for (guint i = 0; i < 3; i++)
        mix_sum_add(sum, loud, N);
    mix_sum_without(out, sum, NULL, N, &limiter);
    for (guint i = 0; i < N; i++)
        g_assert_true(i % 2 ? out[i] > 0 : out[i] < 0);
    g_assert_cmpint(ABS(out[N - 1] - 32767), <, 10);
    g_assert_cmpint(ABS(out[N / 2] - out[N - 2]), <, 10);

    gint32 quiet[N];
    for (guint i = 0; i < N; i++)
        quiet[i] = 10000;
    mix_sum_without(out, quiet, NULL, N, &limiter);
    g_assert_cmpint(out[N - 1], <, 5000);
    for (guint i = 0; i < 60; i++)
        mix_sum_without(out, quiet, NULL, N, &limiter);
    g_assert_cmpint(out[0], ==, 10000);

    gint32 most[N];
    for (guint i = 0; i < N; i++)
        most[i] = -65535 * 32768;
    mix_sum_without(out, most, NULL, N, &limiter);
    g_assert_cmpint(out[N - 1], <, -32000);
}

static void test_places(void)
{
    struct mix_input input;
    gint16 in[N], out[N];
    mix_input_init(&input, 1, 24000);
    fill(in, N, 5);
    g_assert_false(mix_input_take(&input, 0, N, out)); /* nothing has come */
    mix_input_put(&input, N + 100, in, N, 0);
    g_assert_true(mix_input_take(&input, N, N, out));
    g_assert_cmpint(out[99], ==, 0);
    g_assert_cmpint(out[100], ==, 5);
    g_assert_true(mix_input_take(&input, 2 * N, N, out));
    g_assert_cmpint(out[99], ==, 5);
    g_assert_cmpint(out[100], ==, 0);
    g_assert_false(mix_input_take(&input, 3 * N, N, out));

    /* Out of order, with a hole between. */
    mix_input_put(&input, 7 * N, in, N, 0);
    mix_input_put(&input, 5 * N, in, N, 0);
    g_assert_false(mix_input_take(&input, 4 * N, N, out));
    g_assert_true(mix_input_take(&input, 5 * N, N, out));
    g_assert_false(mix_input_take(&input, 6 * N, N, out)); /* silence that was put there */
    g_assert_true(mix_input_take(&input, 7 * N, N, out));

    /* Around the ring's end, and what is only zeros. */
    for (guint i = 8; i < 60; i++) {
        fill(in, N, (gint16)i);
        mix_input_put(&input, i * N, in, N, 0);
        g_assert_true(mix_input_take(&input, i * N, N, out));
        g_assert_cmpint(out[0], ==, i);
        g_assert_cmpint(out[N - 1], ==, i);
    }
    fill(in, N, 0);
    mix_input_put(&input, 60 * N, in, N, 0);
    g_assert_false(mix_input_take(&input, 60 * N, N, out));
    g_assert_cmpuint(input.late + input.dropped, ==, 0);

    mix_input_put(&input, 100 * N, in, N, 0); /* far ahead */
    g_assert_cmpuint(input.dropped, ==, N);
    mix_input_clear(&input);
}

/* A clock that is a little off makes no seams; one that is far off is put right. */
static void test_clock(void)
{
    struct mix_input input;
    gint16 in[N], out[N];
    mix_input_init(&input, 1, 24000);
    fill(in, N, 9);
    for (guint i = 0; i < 40; i++) {
        mix_input_put(&input, (gint64)i * N + i * 5 + 2 * N, in, N, N);
        if (i >= 2)
            g_assert_cmpint(mix_input_take(&input, i * N, N, out), ==, true);
        if (i >= 3)
            g_assert_cmpint(out[0], ==, 9);
    }
    mix_input_clear(&input);
}

/* Who is always late is heard late, and in time again when the way is better. */
static void test_late(void)
{
    struct mix_input input;
    gint16 in[N], out[N];
    guint heard = 0;
    mix_input_init(&input, 1, 24000);
    fill(in, N, 3);
    for (guint i = 0; i < 20; i++) {
        mix_input_take(&input, (gint64)(i + 4) * N, N, out);
        mix_input_put(&input, (gint64)i * N, in, N, N); /* five turns too late */
        heard += i > 0 && mix_input_take(&input, (gint64)(i + 5) * N, N, out);
    }
    g_assert_cmpuint(input.late, <=, 2 * N);
    g_assert_cmpint(input.shift, >=, 5 * N);
    g_assert_cmpuint(heard, >=, 18);
    for (guint i = 20; i < 600; i++) {
        mix_input_put(&input, (gint64)(i + 6) * N, in, N, N);
        mix_input_take(&input, (gint64)(i + 5) * N, N, out);
    }
    g_assert_cmpint(input.shift, <=, N);
    mix_input_clear(&input);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mix/own-is-left-out", test_own_is_left_out);
    g_test_add_func("/mix/too-loud", test_too_loud);
    g_test_add_func("/mix/places", test_places);
    g_test_add_func("/mix/clock", test_clock);
    g_test_add_func("/mix/late", test_late);
    return g_test_run();
}
