/* SPDX-License-Identifier: Apache-2.0 */
/* The gate in front of GstSDPMessage, whose parser takes nearly anything: this pass refuses text
 * that is no SDP, bounds its size, and hands on only the line types that the engine reads. It costs
 * a second copy of the text, and buys line numbers in every error. */
#include "pipelines/sdp-lines.h"
#include "pipelines/sdp-model.h"

#include <string.h>

void sdp_lines_init(struct sdp_lines *lines)
{
    lines->text = g_string_new(NULL);
    lines->session = g_array_new(FALSE, FALSE, sizeof(guint));
    lines->medias = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
}

void sdp_lines_finish(struct sdp_lines *lines)
{
    g_string_free(lines->text, TRUE);
    g_array_unref(lines->session);
    g_ptr_array_unref(lines->medias);
}

/* RFC 8866 5.14: <media> <port> <proto> <fmt> …; a transport here is one port, never several. */
static bool check_media_line(const char *value, guint line, GError **error)
{
    const char *cursor = value;
    g_autofree char *media = sdp_scan_word(&cursor);
    guint64 port;

    cursor += strspn(cursor, " ");
    if (!media || !sdp_scan_number(&cursor, G_MAXUINT16, &port) || *cursor != ' ')
        return sdp_fail_line(error, line, "m= needs a media type and one port up to 65535");
    g_autofree char *protocol = sdp_scan_word(&cursor);
    g_autofree char *format = sdp_scan_word(&cursor);
    if (!protocol || !format || strlen(media) > 32 || strlen(protocol) > 64)
        return sdp_fail_line(error, line, "m= needs a protocol and at least one format");
    return true;
}

static bool check_characters(const char *start, gsize length, guint line, GError **error)
{
    if (length > SDP_MAX_LINE)
        return sdp_fail_line(error, line, "it is longer than %d octets", SDP_MAX_LINE);
    for (gsize i = 0; i < length; i++)
        if ((guchar)start[i] < 0x20 || start[i] == 0x7f)
            return sdp_fail_line(error, line, "it has a control character");
    if (length < 2 || start[1] != '=' || !strchr("vosiuepcbtrzkam", start[0]))
        return sdp_fail_line(error, line, "it does not have the form of an SDP line");
    return true;
}

/* RFC 8866 5: v=, o=, s= begin the description, in this order and once. */
static bool check_place(char type, guint line, GError **error)
{
    static const char beginning[] = "vos";

    if (line <= 3 ? type != beginning[line - 1] : strchr(beginning, type) != NULL)
        return sdp_fail_line(error, line, "a description begins with v=, o=, s=, each once");
    return true;
}

static bool take_line(struct sdp_lines *lines, const char *start, gsize length, guint line,
                      GError **error)
{
    char type = start[0];

    if (!check_characters(start, length, line, error) || !check_place(type, line, error))
        return false;
    if (type == 'v' && (length != 3 || start[2] != '0'))
        return sdp_fail_line(error, line, "the version is not 0");
    if (!strchr("vostma", type))
        return true;
    if (type == 't' && lines->medias->len > 0)
        return sdp_fail_line(error, line, "t= belongs to the session");
    if (type == 'm') {
        g_autofree char *value = g_strndup(start + 2, length - 2);
        if (lines->medias->len == SDP_MAX_MEDIAS)
            return sdp_fail_line(error, line, "more than %d media descriptions", SDP_MAX_MEDIAS);
        if (!check_media_line(value, line, error))
            return false;
        g_ptr_array_add(lines->medias, g_array_new(FALSE, FALSE, sizeof(guint)));
    }
    if (type == 'm' || type == 'a') {
        GArray *numbers = lines->medias->len > 0
                              ? g_ptr_array_index(lines->medias, lines->medias->len - 1)
                              : lines->session;
        g_array_append_val(numbers, line);
    }
    g_string_append_len(lines->text, start, (gssize)length);
    g_string_append(lines->text, "\r\n");
    return true;
}

bool sdp_lines_read(struct sdp_lines *lines, const char *text, GError **error)
{
    gsize size = strnlen(text, SDP_MAX_OCTETS + 1);
    guint line = 0;

    if (size > SDP_MAX_OCTETS || size == 0) {
        problem_set(error, PROBLEM_INVALID_SDP,
                    "A session description has between 1 and %d octets.", SDP_MAX_OCTETS);
        return false;
    }
    if (!g_utf8_validate(text, (gssize)size, NULL)) {
        problem_set(error, PROBLEM_INVALID_SDP, "The session description is not UTF-8.");
        return false;
    }
    for (const char *start = text; *start;) {
        gsize length = strcspn(start, "\n");
        const char *next = start + length + (start[length] == '\n');
        line++;
        if (length > 0 && start[length - 1] == '\r')
            length--;
        if (length == 0 && next[strspn(next, "\r\n")] == '\0')
            break; /* blank lines at the end */
        if (!take_line(lines, start, length, line, error))
            return false;
        start = next;
    }
    if (line < 3)
        return sdp_fail_line(error, line, "the description ends before its s= line");
    return true;
}
