/* SPDX-License-Identifier: Apache-2.0 */
#include "wsf/room-news.h"

#include "base/problem.h"

static json_t *parse(const char *text)
{
    json_error_t where;
    json_t *message = json_loads(text, 0, &where);
    if (!message)
        g_error("%s", where.text);
    return message;
}

static void test_taken(void)
{
    g_autoptr(GError) error = NULL;
    json_t *message =
        parse("{\"method\":\"mupdate\",\"participantId\":\"a\",\"activeSpeaker\":\"\","
              "\"participants\":[{\"participantId\":\"b\",\"displayName\":\"Bob\","
              "\"mids\":[\"0\",\"3\"],\"noPicture\":\"H264\",\"more\":[1,2,3]},"
              "{\"participantId\":\"c\"}]}");
    json_t *wanted = parse("{\"participantId\":\"a\",\"activeSpeaker\":\"\","
                           "\"participants\":[{\"participantId\":\"b\",\"displayName\":\"Bob\","
                           "\"mids\":[\"0\",\"3\"],\"noPicture\":\"H264\"},"
                           "{\"participantId\":\"c\",\"mids\":[]}]}");
    json_t *news = room_news_read(message, &error);
    g_assert_no_error(error);
    g_assert_true(json_equal(news, wanted));
    json_decref(news);
    json_decref(wanted);
    json_decref(message);
}

static void test_none(void)
{
    g_autoptr(GError) error = NULL;
    json_t *message = parse("{\"method\":\"mupdate\",\"userData\":{\"participants\":1}}");
    json_t *news = room_news_read(message, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_object_size(news), ==, 0);
    json_decref(news);
    json_decref(message);
}

static void refuse(json_t *message, const char *param)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(room_news_read(message, &error));
    g_test_message("%s", error->message);
    g_assert_cmpstr(problem_param(error), ==, param);
    json_decref(message);
}

static void test_refused(void)
{
    refuse(parse("{\"participants\":{}}"), "/participants");
    refuse(parse("{\"participants\":[1]}"), "/participants/0");
    refuse(parse("{\"participants\":[{\"mids\":[]}]}"), "/participants/0/participantId");
    refuse(parse("{\"participants\":[{\"participantId\":\"a\"},{\"participantId\":5}]}"),
           "/participants/1/participantId");
    refuse(parse("{\"participants\":[{\"participantId\":\"a\",\"mids\":[\"0\",[]]}]}"),
           "/participants/0/mids/1");
    refuse(parse("{\"participants\":[{\"participantId\":\"a\","
                 "\"mids\":[\"01234567890123456\"]}]}"),
           "/participants/0/mids/0");
    refuse(parse("{\"activeSpeaker\":[]}"), "/activeSpeaker");
}

/* It is kept for each leg of another network. */
static void test_bounded(void)
{
    json_t *message = json_object(), *list = json_array();
    json_object_set_new(message, "participants", list);
    for (unsigned i = 0; i <= ROOM_NEWS_PARTICIPANTS; i++)
        json_array_append_new(list, json_pack("{s:s}", "participantId", "a"));
    refuse(message, "/participants");
    g_autofree char *name = g_strnfill(300, 'x');
    refuse(json_pack("{s:[{s:s, s:s}]}", "participants", "participantId", "a", "displayName", name),
           "/participants/0/displayName");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/room-news/taken", test_taken);
    g_test_add_func("/room-news/none", test_none);
    g_test_add_func("/room-news/refused", test_refused);
    g_test_add_func("/room-news/bounded", test_bounded);
    return g_test_run();
}
