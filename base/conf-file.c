/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the grammar of a configuration file: sections in brackets, `key = value`, whole-line
 * comments with # or ;. GKeyFile would read the same files, but it merges a key that is written
 * twice and tells no line numbers; an operator wants to hear of both. */
#include "base/conf-file.h"

#include "base/problem.h"

#include <string.h>

#define FILE_MAX (1024 * 1024)

static bool take_line(struct conf_line *line, char *text, char **section,
                      bool (*take)(const struct conf_line *, void *, GError **), void *user,
                      GError **error)
{
    g_strstrip(text);
    if (!*text || *text == '#' || *text == ';')
        return true;
    if (*text == '[') {
        size_t length = strlen(text);
        if (text[length - 1] != ']' || length < 3) {
            problem_set(error, PROBLEM_INVALID_MESSAGE, "%s:%u: section without a closing bracket",
                        line->file, line->number);
            return false;
        }
        g_free(*section);
        *section = g_strstrip(g_strndup(text + 1, length - 2));
        line->section = *section;
        line->key = line->value = NULL;
        return take(line, user, error);
    }
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !*section) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s:%u: %s", line->file, line->number,
                    !equals || equals == text ? "neither [section] nor key = value"
                                              : "key before the first [section]");
        return false;
    }
    *equals = '\0';
    line->section = *section;
    line->key = g_strchomp(text);
    line->value = g_strchug(equals + 1);
    return take(line, user, error);
}

bool conf_file_read(const char *file,
                    bool (*take)(const struct conf_line *line, void *user, GError **error),
                    void *user, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize length = 0;
    if (!g_file_get_contents(file, &text, &length, &cause)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s", cause->message);
        return false;
    }
    if (length > FILE_MAX || !g_utf8_validate_len(text, length, NULL)) {
        problem_set(error, PROBLEM_INVALID_MESSAGE, "%s: %s", file,
                    length > FILE_MAX ? "larger than 1 MiB" : "not UTF-8 text");
        return false;
    }
    struct conf_line line = {.file = file};
    g_autofree char *section = NULL;
    for (char *next = text; next;) {
        char *start = next, *end = strchr(next, '\n');
        next = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        line.number++;
        if (!take_line(&line, start, &section, take, user, error))
            return false;
    }
    return true;
}
