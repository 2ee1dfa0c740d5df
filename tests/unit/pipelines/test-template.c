/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what is read, what is refused and where; that no value becomes more than a value. */
#include "base/problem.h"
#include "pipelines/template.h"

#include <glib/gstdio.h>
#include <string.h>

static const struct pipeline_surroundings surroundings = {.cpu_threads = 3};

static struct pipeline_template *parse(const char *text)
{
    GError *error = NULL;
    struct pipeline_template *t = pipeline_template_parse("t.pipeline", text, &error);
    g_assert_no_error(error);
    g_assert_nonnull(t);
    return t;
}

static char *fill(struct pipeline_template *t, const struct pipeline_argument *arguments, guint n,
                  GError **error)
{
    struct pipeline_text *text =
        pipeline_template_fill(t, arguments, n, &surroundings, "/pipeline/parameters", error);
    char *description = text ? g_strdup(pipeline_text_description(text)) : NULL;
    pipeline_text_free(text);
    return description;
}

static const char all_types[] = "# a comment\n"
                                "  # another\n"
                                "parameter i integer 5 -10..10 # trailing words\n"
                                "parameter n number 0.5 0..1\n"
                                "parameter b boolean true\n"
                                "parameter c choice one one|two\n"
                                "parameter t text \"hello world\" 20\n"
                                "a i=${i} n=${n} b=${b} c=${c} t=${t} threads=${cpu_threads}\n"
                                "when c=one: ! first\n"
                                "when c=two: ! second\n"
                                "when b=false: ! third\n";

static void test_defaults(void)
{
    struct pipeline_template *t = parse(all_types);
    g_autofree char *text = fill(t, NULL, 0, NULL);
    g_assert_cmpstr(text, ==, "a i=5 n=0.5 b=true c=one t=\"hello world\" threads=3\n ! first\n");
    pipeline_template_unref(t);
}

static void test_arguments(void)
{
    const struct pipeline_argument arguments[] = {
        {.name = "i", .kind = PIPELINE_VALUE_NUMBER, .number = -10.0},
        {.name = "n", .kind = PIPELINE_VALUE_INTEGER, .integer = 1},
        {.name = "b", .kind = PIPELINE_VALUE_BOOLEAN, .boolean = false},
        {.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "two"},
        {.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "d'été ! ${i}"},
    };
    struct pipeline_template *t = parse(all_types);
    g_autofree char *text = fill(t, arguments, G_N_ELEMENTS(arguments), NULL);
    /* A text that looks like a placeholder is not one. */
    g_assert_cmpstr(
        text, ==, "a i=-10 n=1 b=false c=two t=\"d'été ! ${i}\" threads=3\n ! second\n ! third\n");
    pipeline_template_unref(t);
}

static void test_wrong_arguments(void)
{
    const struct {
        struct pipeline_argument argument;
        const char *pointer;
    } rows[] = {
        {{.name = "i", .kind = PIPELINE_VALUE_INTEGER, .integer = 11}, "/i"},
        {{.name = "i", .kind = PIPELINE_VALUE_NUMBER, .number = 1.5}, "/i"},
        {{.name = "i", .kind = PIPELINE_VALUE_NUMBER, .number = 1e300}, "/i"},
        {{.name = "i", .kind = PIPELINE_VALUE_TEXT, .text = "5"}, "/i"},
        {{.name = "n", .kind = PIPELINE_VALUE_NUMBER, .number = 1.01}, "/n"},
        {{.name = "n", .kind = PIPELINE_VALUE_BOOLEAN}, "/n"},
        {{.name = "b", .kind = PIPELINE_VALUE_INTEGER, .integer = 1}, "/b"},
        {{.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "three"}, "/c"},
        {{.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "one ! fakesink"}, "/c"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "a\" ! fakesink name=\"b"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "ends so\\"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "two\nlines"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "\xff"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_TEXT, .text = "longer than twenty octets"}, "/t"},
        {{.name = "t", .kind = PIPELINE_VALUE_OTHER}, "/t"},
        {{.name = "cpu_threads", .kind = PIPELINE_VALUE_INTEGER, .integer = 64}, "/cpu_threads"},
        {{.name = "a/b~c", .kind = PIPELINE_VALUE_INTEGER}, "/a~1b~0c"},
        {{.name = "", .kind = PIPELINE_VALUE_INTEGER}, "/"},
    };
    struct pipeline_template *t = parse(all_types);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *pointer = g_strconcat("/pipeline/parameters", rows[i].pointer, NULL);
        g_assert_null(fill(t, &rows[i].argument, 1, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_cmpstr(problem_param(error), ==, pointer);
    }
    pipeline_template_unref(t);
}

static void test_broken(void)
{
    static const struct {
        const char *text;
        guint line;
        const char *says;
    } rows[] = {
        {"", 1, "no pipeline"},
        {"# only words\n", 2, "no pipeline"},
        {"parameter x\na", 1, "NAME TYPE DEFAULT"},
        {"\nparameter x whole 1 1..2\na", 2, "is not a type"},
        {"parameter x! integer 1 1..2\na", 1, "name"},
        {"parameter x integer 1\na", 1, "range"},
        {"parameter x integer 1 1-2\na", 1, "range"},
        {"parameter x integer 3 1..2\na", 1, "default"},
        {"parameter x integer 1.5 1..2\na", 1, "default"},
        {"parameter x number nan 0..1\na", 1, "default"},
        {"parameter x boolean yes\na", 1, "default"},
        {"parameter x boolean true more\na", 1, "nothing"},
        {"parameter x choice a\na", 1, "words"},
        {"parameter x choice a a|b!\na", 1, "word"},
        {"parameter x choice c a|b\na", 1, "default"},
        {"parameter x text 'a\"b' 10\na", 1, "default"},
        {"parameter x text abc 2\na", 1, "default"},
        {"parameter x text abc 99999\na", 1, "length"},
        {"parameter x integer 1 1..2\nparameter x integer 1 1..2\na", 2, "already"},
        {"parameter cpu_threads integer 1 1..2\na", 1, "already"},
        {"a b=${c}", 1, "no parameter c"},
        {"a b=${c", 1, "no parameter"},
        {"parameter t text x 9\na b=\"${t}\"", 2, "whole value"},
        {"parameter t text x 9\na b='\n${t}'", 3, "whole value"},
        {"parameter t text x 9\na b=x${t}", 2, "whole value"},
        {"parameter t text x 9\na b=${t}x", 2, "whole value"},
        {"parameter t text x 9\n${t}", 2, "whole value"},
        {"a b=\"open", 1, "never closed"},
        {"input x audio\na", 1, "an input is"},
        {"input x film VP8\na", 1, "an input is"},
        {"input x audio VP8\na", 1, "no audio codec"},
        {"input x video none\na", 1, "no video codec"},
        {"input x video none|VP8\na", 1, "no video codec"},
        {"input x video VP8\ninput x video VP8\na", 2, "already"},
        {"input abcdefghijklmnopq video VP8\na", 1, "letters"},
        {"parameter x file y 5\na", 1, "nothing behind"},
        {"parameter x file y -> a.b\na", 1, "cannot change"},
        {"when x=1: a", 1, "condition"},
        {"when x", 1, "condition"},
        {"parameter c choice a a|b\nwhen c=z: a", 2, "never has"},
        {"parameter c choice a a|b\nwhen c=a: b=\"x\n", 2, "open"},
        {"parameter i integer 1 1..2\nwhen i=1: a", 2, "condition"},
        {"a \xff", 1, "UTF-8"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *where = g_strdup_printf("t.pipeline:%u: ", rows[i].line);
        struct pipeline_template *t = pipeline_template_parse("t.pipeline", rows[i].text, &error);
        g_test_message("%s", error ? error->message : rows[i].text);
        g_assert_null(t);
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
        g_assert_true(g_str_has_prefix(error->message, where));
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i <= PIPELINE_TEMPLATE_PARAMETERS_MAX; i++)
        g_string_append_printf(text, "parameter p%u boolean true\n", i);
    g_string_append(text, "a");
    g_assert_null(pipeline_template_parse("t.pipeline", text->str, &error));
    g_assert_nonnull(strstr(error->message, "t.pipeline:65: more than 64"));
    g_clear_error(&error);
    g_string_set_size(text, 0);
    while (text->len <= PIPELINE_TEMPLATE_OCTETS_MAX)
        g_string_append(text, "# words\n");
    g_assert_null(pipeline_template_parse("t.pipeline", text->str, &error));
    g_assert_nonnull(strstr(error->message, "longer"));
}

static void test_blame(void)
{
    struct pipeline_template *t =
        parse("# first\n\nsource name=a ! sink\n\nother ! filter ! sink\n");
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &surroundings, "", NULL);
    const struct {
        const char *message;
        guint line;
    } rows[] = {
        {"no element \"filter\"", 5}, {"no property \"name\" in element \"source\"", 3},
        {"syntax error", 3},          {"could not link \"other\" to \"filter\"", 5},
        {"an open \"quote", 3},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *told = pipeline_text_blame(text, rows[i].message);
        g_autofree char *expected = g_strdup_printf("t.pipeline:%u", rows[i].line);
        g_assert_cmpstr(told, ==, expected);
    }
    pipeline_text_free(text);
    pipeline_template_unref(t);
}

static void test_files(void)
{
    g_autofree char *own = g_dir_make_tmp("templates-XXXXXX", NULL);
    g_autofree char *shipped = g_dir_make_tmp("templates-XXXXXX", NULL);
    const char *const folders[] = {own, "/nonexistent", shipped, NULL};
    const struct {
        const char *folder, *name, *text;
    } files[] = {{own, "one.pipeline", "mine"},  {shipped, "one.pipeline", "theirs"},
                 {shipped, "two.pipeline", "x"}, {shipped, "two words.pipeline", "x"},
                 {shipped, ".pipeline", "x"},    {shipped, "notes.txt", "x"}};
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *file = g_build_filename(files[i].folder, files[i].name, NULL);
        g_assert_true(g_file_set_contents(file, files[i].text, -1, NULL));
    }
    g_auto(GStrv) names = pipeline_template_names(folders);
    g_autofree char *joined = g_strjoinv(" ", names);
    g_assert_cmpstr(joined, ==, "one two");

    struct pipeline_template *t = pipeline_template_load(folders, "one", NULL);
    g_autofree char *text = fill(t, NULL, 0, NULL);
    g_assert_cmpstr(text, ==, "mine\n");
    pipeline_template_unref(t);
    static const char *const missing[] = {"three",        "",    "../one",
                                          "one.pipeline", "a/b", "/etc/passwd"};
    for (gsize i = 0; i < G_N_ELEMENTS(missing); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(pipeline_template_load(folders, missing[i], &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_RESOURCE_NOT_FOUND);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *file = g_build_filename(files[i].folder, files[i].name, NULL);
        g_unlink(file);
    }
    g_rmdir(own);
    g_rmdir(shipped);
}

static void test_uri(void)
{
    struct pipeline_template *t = parse("parameter u uri \"\"\nparameter b boolean true\n"
                                        "repeat ${b} # a comment\na uri=${u}\n");
    const struct pipeline_argument argument = {
        .name = "u", .kind = PIPELINE_VALUE_TEXT, .text = "https://a.example/live/b"};
    const char *const beginnings[] = {"https://a.example/live/", NULL};
    const struct pipeline_surroundings open = {.places = {.beginnings = beginnings}};
    g_autoptr(GError) error = NULL;
    struct pipeline_text *text = pipeline_template_fill(t, &argument, 1, &open, "/p", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(pipeline_text_description(text), ==, "a uri=\"https://a.example/live/b\"\n");
    g_assert_true(pipeline_text_repeats(text));
    pipeline_text_free(text);
    g_assert_null(pipeline_template_fill(t, &argument, 1, &surroundings, "/p", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    g_clear_error(&error);
    g_assert_null(pipeline_template_fill(t, NULL, 0, &open, "/p", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    const struct pipeline_surroundings check = {.stand_in = "file:///dev/null"};
    text = pipeline_template_fill(t, NULL, 0, &check, "/p", NULL);
    g_assert_cmpstr(pipeline_text_description(text), ==, "a uri=\"file:///dev/null\"\n");
    pipeline_text_free(text);
    pipeline_template_unref(t);
}

static void test_changes(void)
{
    struct pipeline_template *t =
        parse("parameter r integer 5 1..9 -> one.rate|two.bit-rate\n"
              "parameter c choice a a|b -> three.mode # trailing\nparameter f integer 1 1..2\n"
              "a r=${r} c=${c}\n");
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &surroundings, "", NULL);
    g_autoptr(GError) error = NULL;
    struct pipeline_argument arguments[] = {
        {.name = "r", .kind = PIPELINE_VALUE_INTEGER, .integer = 7},
        {.name = "c", .kind = PIPELINE_VALUE_TEXT, .text = "b"},
    };
    GArray *settings = pipeline_text_change(text, arguments, 2, "/p", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(settings->len, ==, 3);
    const struct pipeline_setting *s = &g_array_index(settings, struct pipeline_setting, 1);
    g_assert_cmpstr(s->element, ==, "two");
    g_assert_cmpstr(s->property, ==, "bit-rate");
    g_assert_cmpstr(s->value, ==, "7");
    g_array_unref(settings);
    arguments[0].integer = 10;
    g_assert_null(pipeline_text_change(text, arguments, 2, "/p", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    g_clear_error(&error);
    arguments[0] =
        (struct pipeline_argument){.name = "f", .kind = PIPELINE_VALUE_INTEGER, .integer = 1};
    g_assert_null(pipeline_text_change(text, arguments, 1, "/p", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    settings = pipeline_text_changeable(text);
    g_assert_cmpuint(settings->len, ==, 3);
    g_array_unref(settings);
    pipeline_text_free(text);
    pipeline_template_unref(t);
}

static void test_broken_additions(void)
{
    static const char *const broken[] = {
        "parameter u uri \"\" 64\na\n",
        "parameter u uri \"\" -> a.b\na\n",
        "parameter i integer 1 1..2 -> ab\na\n",
        "parameter i integer 1 1..2 ->\na\n",
        "parameter i integer 1 1..2 -> a.b c\n",
        "parameter i integer 1 1..2 -> a/b.c\na\n",
        "parameter i integer 1 -> a.b\na\n",
        "repeat maybe\na\n",
        "repeat ${none}\na\n",
        "parameter i integer 1 1..2\nrepeat ${i}\na\n",
        "parameter u uri \"\"\na b${u}\n",
        "repeat true false\na\n",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autoptr(GError) error = NULL;
        struct pipeline_template *t = pipeline_template_parse("t.pipeline", broken[i], &error);
        g_assert_null(t);
        g_test_message("%s", error->message);
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
    }
}

static const char with_inputs[] = "input sound audio opus|none\n"
                                  "input camera video VP8|H264\n"
                                  "when sound=opus: wmcfsrc mid=sound ! a\n"
                                  "when camera=VP8: wmcfsrc mid=camera ! b\n"
                                  "when camera=H264: wmcfsrc mid=camera ! c\n";

static struct pipeline_text *fill_inputs(struct pipeline_template *t,
                                         const struct pipeline_input *inputs, guint n,
                                         GError **error)
{
    const struct pipeline_surroundings given = {.inputs = inputs, .n_inputs = n};
    return pipeline_template_fill(t, NULL, 0, &given, "/pipeline/parameters", error);
}

static void check_wrong(const char *text, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(pipeline_template_parse("t.pipeline", text, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_WMCF_ERROR);
    g_assert_nonnull(strstr(error->message, says));
}

static void test_members(void)
{
    static const char good[] = "parameter rate integer 5 1..9 -> enc.rate\n"
                               "input m* audio opus\n"
                               "mix name=mix\n"
                               "each m: wmcfsrc mid=${m} ! mix.sink_${m}\n"
                               "each m: when m=opus: mix.src_${m} ! x.y ! enc name=x rate=${rate}\n"
                               "each m: ! wmcfsink mid=${m} text=\"mix.a\"\n"
                               "tail\n";
    static const struct pipeline_surroundings plain = {.cpu_threads = 2};
    g_autoptr(GError) error = NULL;
    struct pipeline_template *t = parse(good);
    struct pipeline_input repeated;
    struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &plain, "", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(pipeline_text_description(text), ==, "mix name=mix\ntail\n");
    g_assert_true(pipeline_text_repeated(text, &repeated));
    g_assert_cmpstr(repeated.name, ==, "m");
    g_assert_cmpuint(pipeline_text_inputs(text, (struct pipeline_input[PIPELINE_INPUTS_MAX]){0}),
                     ==, 0);

    /* What is changed while it runs, later members have from the beginning; not what was refused.
     */
    const struct pipeline_argument rate = {
        .name = "rate", .kind = PIPELINE_VALUE_INTEGER, .integer = 7};
    GArray *settings = pipeline_text_change(text, &rate, 1, "", &error);
    struct pipeline_text *member = pipeline_text_member(text, "ann", "OPUS", &error);
    g_assert_nonnull(strstr(pipeline_text_description(member), "rate=5"));
    pipeline_text_free(member);
    pipeline_text_remember(text, settings);
    g_array_unref(settings);
    member = pipeline_text_member(text, "ann", "OPUS", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(pipeline_text_description(member), ==,
                    "wmcfsrc mid=ann ! identity silent=true name=joint-0\n"
                    " identity silent=true name=joint-1 ! x.y ! enc name=x rate=7\n"
                    "! wmcfsink mid=ann text=\"mix.a\"\n");
    const GPtrArray *joints = pipeline_text_joints(member);
    g_assert_cmpuint(joints->len, ==, 2);
    const struct pipeline_joint *joint = joints->pdata[1];
    g_assert_cmpstr(joint->element, ==, "mix");
    g_assert_cmpstr(joint->pad, ==, "src_ann");
    /* It names an element of its own, so all of it is one piece. */
    g_assert_cmpuint(pipeline_text_pieces(member)->len, ==, 1);
    pipeline_text_free(member);
    g_assert_null(pipeline_text_member(text, "bob", "VP8", &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    pipeline_text_free(text);
    pipeline_template_unref(t);

    check_wrong("input m* audio opus\nx\n", "no line begins with \"each m:\"");
    check_wrong("input m* audio opus\neach m: x\n", "nothing joins them");
    check_wrong("input m* audio opus|none\neach m: x\ny\n", "\"none\" is no audio codec");
    check_wrong("input m* audio opus\ninput n* audio opus\n", "a repeated input already");
    check_wrong("input m* audio opus\nx mid=${m}\neach m: x\n", "stands in lines that begin");
    check_wrong("input m* audio opus\nwhen m=opus: x\neach m: x\n", "a condition on m");
    check_wrong("each m: x\n", "each NAME");
    check_wrong("input m audio opus\neach m: x\ny\n", "each NAME");
    check_wrong("input m* audio opus\neach m: x a=\"\ny\"\n", "leaves a quote open");
}

static void test_inputs(void)
{
    struct pipeline_template *t = parse(with_inputs);
    struct pipeline_input told[PIPELINE_INPUTS_MAX];
    g_assert_cmpuint(pipeline_template_inputs(t, told), ==, 2);
    g_assert_cmpstr(told[0].name, ==, "sound");
    g_assert_true(told[0].optional && !told[0].video);
    g_assert_true(!told[1].optional && told[1].video);

    const struct pipeline_input camera = {.name = "camera", .video = true, .codec = "h264"};
    struct pipeline_text *text = fill_inputs(t, &camera, 1, NULL);
    g_assert_cmpstr(pipeline_text_description(text), ==, " wmcfsrc mid=camera ! c\n");
    g_assert_cmpuint(pipeline_text_inputs(text, told), ==, 1);
    g_assert_cmpstr(told[0].codec, ==, "H264");
    pipeline_text_free(text);

    static const struct {
        struct pipeline_input inputs[2];
        guint n;
        const char *says;
    } bad[] = {
        {{{.name = "sound", .codec = "opus"}}, 1, "needs the input camera"},
        {{{.name = "camera", .video = true, .codec = "AV1"}}, 1, "takes video (VP8 or H264)"},
        {{{.name = "camera", .codec = "opus"}}, 1, "not audio opus"},
        {{{.name = "camera", .video = true, .codec = "VP8"}, {.name = "x", .codec = "opus"}},
         2,
         "no input x"},
        {{{.name = "camera", .video = true, .codec = "none"}}, 1, "takes video"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(fill_inputs(t, bad[i].inputs, bad[i].n, &error));
        g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
        g_assert_nonnull(strstr(error->message, bad[i].says));
    }
    /* Only a check may say it by name. */
    const struct pipeline_argument named = {
        .name = "camera", .kind = PIPELINE_VALUE_TEXT, .text = "H264"};
    g_autoptr(GError) error = NULL;
    g_assert_null(fill(t, &named, 1, &error));
    g_assert_error(error, PROBLEM_DOMAIN, PROBLEM_INVALID_MESSAGE);
    const struct pipeline_surroundings any = {.any_input = true};
    text = pipeline_template_fill(t, &named, 1, &any, "", NULL);
    g_assert_cmpstr(pipeline_text_description(text), ==,
                    " wmcfsrc mid=sound ! a\n wmcfsrc mid=camera ! c\n");
    pipeline_text_free(text);
    g_autoptr(GArray) variants = pipeline_template_variants(t);
    g_assert_cmpuint(variants->len, ==, 2); /* no sound, H264 */
    pipeline_template_unref(t);
}

static void test_address(void)
{
    static const char *const list[] = {"192.0.2.0/24:5004", "[2001:db8::7]:5004", NULL};
    const struct pipeline_surroundings where = {.places = {.tap_addresses = list}};
    struct pipeline_argument to = {.name = "to", .kind = PIPELINE_VALUE_TEXT};
    struct pipeline_template *t =
        pipeline_template_parse("f",
                                "parameter to address \"\"\nparameter on boolean true\n"
                                "when on=true: src ! sink host=${to.host} port=${to.port}\n"
                                "when on=false: src ! fakesink\n",
                                NULL);
    g_assert_nonnull(t);
    static const char *const refused[] = {"", "192.0.3.7:5004", "192.0.2.7:5005", "host:5004"};
    for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        to.text = refused[i];
        g_assert_null(pipeline_template_fill(t, &to, 1, &where, "/p", &error));
        g_assert_cmpstr(problem_param(error), ==, "/p/to");
    }
    to.text = "[2001:0db8::0007]:5004";
    struct pipeline_text *text = pipeline_template_fill(t, &to, 1, &where, "/p", NULL);
    g_assert_nonnull(text);
    g_assert_nonnull(strstr(pipeline_text_description(text), "host=\"2001:db8::7\" port=5004"));
    pipeline_text_free(text);
    /* Where nothing is sent none is needed. */
    const struct pipeline_argument off = {.name = "on", .kind = PIPELINE_VALUE_BOOLEAN};
    text = pipeline_template_fill(t, &off, 1, &where, "/p", NULL);
    g_assert_nonnull(text);
    pipeline_text_free(text);
    pipeline_template_unref(t);
    static const char *const broken[] = {
        "parameter to address \"\"\nsink host=${to}\n",
        "parameter to address \"\"\nsink host=${to.name}\n",
        "parameter to address \"\"\nsink host=x${to.host}\n",
        "parameter to text \"\" 9\nsink host=${to.host}\n",
        "parameter to address \"\" -> sink.host\nsink host=${to.host}\n",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(broken); i++)
        g_assert_null(pipeline_template_parse("f", broken[i], NULL));
}

static void test_filter(void)
{
    static const struct {
        const char *text;
        bool filters;
    } rows[] = {
        {"filter\ninput a audio opus\nwmcfsrc mid=a ! wmcfsink mid=a\n", true},
        {"  filter # of sound\ninput a audio opus\nwmcfsrc mid=a ! wmcfsink mid=a\n", true},
        {"input a audio opus\nwmcfsrc mid=a ! filter\n", false},
        {"filter mid=a ! wmcfsink\n", false},
        {"filters ! wmcfsink\n", false},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        struct pipeline_template *t = pipeline_template_parse("test", rows[i].text, &error);
        g_assert_no_error(error);
        g_assert_true(pipeline_template_filters(t) == rows[i].filters);
        const struct pipeline_surroundings any = {.any_input = true};
        struct pipeline_text *text = pipeline_template_fill(t, NULL, 0, &any, "", NULL);
        g_assert_true(pipeline_text_filters(text) == rows[i].filters);
        g_assert_true(!strstr(pipeline_text_description(text), "of sound"));
        pipeline_text_free(text);
        pipeline_template_unref(t);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/template/inputs", test_inputs);
    g_test_add_func("/template/filter", test_filter);
    g_test_add_func("/template/members", test_members);
    g_test_add_func("/template/defaults", test_defaults);
    g_test_add_func("/template/arguments", test_arguments);
    g_test_add_func("/template/wrong-arguments", test_wrong_arguments);
    g_test_add_func("/template/broken", test_broken);
    g_test_add_func("/template/limits", test_limits);
    g_test_add_func("/template/blame", test_blame);
    g_test_add_func("/template/files", test_files);
    g_test_add_func("/template/uri", test_uri);
    g_test_add_func("/template/address", test_address);
    g_test_add_func("/template/changes", test_changes);
    g_test_add_func("/template/broken-additions", test_broken_additions);
    return g_test_run();
}
