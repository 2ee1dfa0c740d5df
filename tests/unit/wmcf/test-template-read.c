/* SPDX-License-Identifier: Apache-2.0 */
#include "base/problem.h"
#include "wmcf/template-read.h"

static struct sdp_template *parse(const char *text, GError **error)
{
    json_auto_t *message = json_loads(text, 0, NULL);
    g_assert_nonnull(message);
    return template_read(message, "offerTemplate", error);
}

static void test_whole(void)
{
    struct sdp_template *t =
        parse("{\"offerTemplate\":{\"bundle\":true,\"medias\":["
              "{\"mediaType\":\"audio\",\"codecs\":[\"opus\"]},"
              "{\"mid\":\"v\",\"mediaType\":\"video\",\"direction\":\"recvonly\","
              "\"simulcast\":true}]}}",
              NULL);
    g_assert_nonnull(t);
    g_assert_true(t->bundle);
    g_assert_cmpuint(t->medias->len, ==, 2);
    struct sdp_template_media *m = &g_array_index(t->medias, struct sdp_template_media, 0);
    g_assert_cmpint(m->kind, ==, SDP_AUDIO);
    g_assert_cmpint(m->direction, ==, SDP_SENDRECV);
    g_assert_cmpstr(m->codecs[0], ==, "opus");
    g_assert_null(m->codecs[1]);
    m = &g_array_index(t->medias, struct sdp_template_media, 1);
    g_assert_cmpstr(m->mid, ==, "v");
    g_assert_cmpint(m->direction, ==, SDP_RECVONLY);
    g_assert_null(m->codecs);
    g_assert_true(m->simulcast);
    sdp_template_free(t);
}

static void test_absent(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(parse("{}", &error));
    g_assert_no_error(error);
}

static void test_refusals(void)
{
    static const struct {
        const char *text;
        enum problem problem;
        const char *pointer;
    } rows[] = {
        {"{\"offerTemplate\":[]}", PROBLEM_INVALID_MESSAGE, "/offerTemplate"},
        {"{\"offerTemplate\":{}}", PROBLEM_MISSING_PARAMETER, "/offerTemplate/medias"},
        {"{\"offerTemplate\":{\"medias\":[]}}", PROBLEM_INVALID_MESSAGE, "/offerTemplate"},
        {"{\"offerTemplate\":{\"medias\":[7]}}", PROBLEM_INVALID_MESSAGE,
         "/offerTemplate/medias/0"},
        {"{\"offerTemplate\":{\"medias\":[{\"mediaType\":\"smell\"}]}}", PROBLEM_INVALID_MESSAGE,
         "/offerTemplate/medias/0/mediaType"},
        {"{\"offerTemplate\":{\"medias\":[{\"mediaType\":\"audio\",\"codecs\":[1]}]}}",
         PROBLEM_INVALID_MESSAGE, "/offerTemplate/medias/0/codecs/0"},
        {"{\"offerTemplate\":{\"medias\":[{\"mediaType\":\"audio\",\"mid\":\"0123456789abcdefg\"}]"
         "}}",
         PROBLEM_INVALID_MESSAGE, "/offerTemplate/medias/0/mid"},
        {"{\"offerTemplate\":{\"medias\":[{\"mediaType\":\"video\",\"simulcast\":{}}]}}",
         PROBLEM_INVALID_MESSAGE, "/offerTemplate/medias/0/simulcast"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(rows[i].text, &error));
        g_assert_error(error, PROBLEM_DOMAIN, (int)rows[i].problem);
        g_assert_cmpstr(problem_param(error), ==, rows[i].pointer);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wmcf/template/whole", test_whole);
    g_test_add_func("/wmcf/template/absent", test_absent);
    g_test_add_func("/wmcf/template/refusals", test_refusals);
    return g_test_run();
}
