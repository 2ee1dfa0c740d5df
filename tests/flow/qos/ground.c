/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces, commands and programs of a few instructions, loaded by bpf(2) without any library. */
#include "tests/flow/qos/ground.h"

#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attributes)
{
    return syscall(__NR_bpf, command, attributes, sizeof *attributes);
}

static int load(const struct bpf_insn *instructions, uint32_t count)
{
    char log[4096] = "";
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_SCHED_CLS};
    attributes.insns = (uintptr_t)instructions;
    attributes.insn_cnt = count;
    attributes.license = (uintptr_t) "Apache-2.0";
    attributes.log_buf = (uintptr_t)log;
    attributes.log_size = sizeof log;
    attributes.log_level = 1;
    int fd = (int)bpf(BPF_PROG_LOAD, &attributes);
    if (fd < 0 && errno != EPERM)
        g_error("the program does not load: %s\n%s", g_strerror(errno), log);
    return fd;
}

int ground_program(int verdict)
{
    struct bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT},
    };
    return load(instructions, G_N_ELEMENTS(instructions));
}

int ground_counter(int *ret_count_fd)
{
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY};
    attributes.key_size = 4;
    attributes.value_size = 8;
    attributes.max_entries = 1;
    *ret_count_fd = (int)bpf(BPF_MAP_CREATE, &attributes);
    g_assert_cmpint(*ret_count_fd, >=, 0);
    struct bpf_insn instructions[] = {
        {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = 0},
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = BPF_REG_1,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .imm = *ret_count_fd},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
        {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2, .imm = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1},
        {.code = BPF_STX | BPF_ATOMIC | BPF_DW,
         .dst_reg = BPF_REG_0,
         .src_reg = BPF_REG_1,
         .imm = BPF_ADD},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT},
    };
    return load(instructions, G_N_ELEMENTS(instructions));
}

uint64_t ground_count(int count_fd)
{
    uint32_t key = 0;
    uint64_t value = 0;
    union bpf_attr attributes = {.map_fd = (uint32_t)count_fd};
    attributes.key = (uintptr_t)&key;
    attributes.value = (uintptr_t)&value;
    g_assert_cmpint(bpf(BPF_MAP_LOOKUP_ELEM, &attributes), ==, 0);
    return value;
}

bool ground_new(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        g_test_skip("network namespaces need root");
        return false;
    }
    int program = ground_program(0);
    if (program < 0) {
        g_test_skip("bpf(2) is not allowed here");
        return false;
    }
    close(program);
    ground_do("ip link set lo up");
    return true;
}

static char *run(const char *command)
{
    g_autofree char *output = NULL, *complaint = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, &complaint,
                      &status, &error) ||
        !g_spawn_check_wait_status(status, &error))
        g_error("%s: %s %s", command, error->message, complaint ? complaint : "");
    return g_steal_pointer(&output);
}

void ground_do(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *command = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_free(run(command));
}

char *ground_ask(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *command = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return run(command);
}

void ground_in_child(void (*body)(void *data), void *data)
{
    int status = 0;
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        body(data);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

unsigned ground_index(const char *name)
{
    unsigned index = if_nametoindex(name);
    g_assert_cmpuint(index, !=, 0);
    return index;
}

guint ground_filters(const char *interface, const char *hook, const char *word)
{
    g_autofree char *text = ground_ask("tc filter show dev %s %s", interface, hook);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint count = 0;
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
        count += strstr(lines[i], "handle") && g_strv_contains((const char *const *)words, word);
    }
    return count;
}
