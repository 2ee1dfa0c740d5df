/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces, commands and programs of a few instructions, loaded by bpf(2) without any library. */
#include "tests/flow/qos/ground.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

struct raw_filter {
    struct nlmsghdr head;
    struct tcmsg tc;
    char attributes[256];
};

/* Appends one attribute; where its value begins. */
static void add(struct raw_filter *message, int type, const void *value, size_t length)
{
    struct rtattr *attribute = (struct rtattr *)((char *)message + message->head.nlmsg_len);
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(length);
    if (length)
        memcpy(RTA_DATA(attribute), value, length);
    message->head.nlmsg_len += RTA_SPACE(length);
}

void ground_raw_bpf(unsigned ifindex, uint32_t parent, unsigned priority, int program_fd,
                    const char *name)
{
    struct raw_filter message = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof message.tc),
                 .nlmsg_type = RTM_NEWTFILTER,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .tc = {.tcm_ifindex = (int)ifindex,
               .tcm_parent = parent,
               .tcm_info = priority << 16 | htons(ETH_P_ALL)}};
    uint32_t fd = (uint32_t)program_fd, flags = TCA_BPF_FLAG_ACT_DIRECT;
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[1024];
    } answer = {0};
    add(&message, TCA_KIND, "bpf", sizeof "bpf");
    struct rtattr *options = (struct rtattr *)((char *)&message + message.head.nlmsg_len);
    add(&message, TCA_OPTIONS, NULL, 0);
    add(&message, TCA_BPF_FD, &fd, sizeof fd);
    add(&message, TCA_BPF_NAME, name, strlen(name) + 1);
    add(&message, TCA_BPF_FLAGS, &flags, sizeof flags);
    options->rta_len = (char *)&message + message.head.nlmsg_len - (char *)options;
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    g_assert_cmpint(send(netlink, &message, message.head.nlmsg_len, 0), >, 0);
    g_assert_cmpint(recv(netlink, &answer, sizeof answer, 0), >, 0);
    g_assert_cmpint(answer.error.error, ==, 0);
    close(netlink);
}

guint ground_filters(const char *interface, const char *hook, const char *word)
{
    g_autofree char *text = ground_ask("tc filter show dev %s %s", interface, hook);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint count = 0;
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
        count += (strstr(lines[i], "handle") || strstr(lines[i], "fh 800::800")) &&
                 g_strv_contains((const char *const *)words, word);
    }
    return count;
}
