/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what is counted about links, and the classes of methods that bound the labels: a peer
 * chooses method names, so only names from the protocol's own table become label values. */
#include "wsf-link/link-core.h"

#include "base/metrics.h"

#include <string.h>

static const char *role_label(enum link_role role)
{
    return role == LINK_SERVER ? "server" : "client";
}

void link_count_open(enum link_role role, int delta)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_register(METRIC_GAUGE, "link_open", NULL,
                                 "Links that are open now, by our role.", "role");
    const char *const labels[] = {role_label(role)};
    metric_add(metric, delta, labels);
}

void link_count_opened(const struct link *link)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_register(METRIC_COUNTER, "link_opened", NULL,
                                 "Links that were opened, by our role, what carries the WebSocket "
                                 "and the version of TLS.",
                                 "role,transport,tls");
    const char *const labels[] = {role_label(link->role), link_transport_name(link->transport),
                                  link->tls_version ? link->tls_version : "none"};
    metric_add(metric, 1, labels);
}

void link_count_closed(enum link_role role, int code)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_register(METRIC_COUNTER, "link_closed", NULL,
                                 "Links that ended, by our role and close code.", "role,code");
    /* The codes of other makers are any number from 3000 to 4999. */
    bool known = (code >= 1000 && code <= 1015) || code == LINK_CLOSE_MALFORMED ||
                 code == LINK_CLOSE_NOT_AUTHENTICATED || code == LINK_CLOSE_KEEPALIVE ||
                 code == LINK_CLOSE_SUPERSEDED || code == LINK_CLOSE_EXPIRED ||
                 code == LINK_CLOSE_RATE_LIMIT;
    char text[16];
    g_snprintf(text, sizeof text, "%d", code);
    const char *const labels[] = {role_label(role), known ? text : "other"};
    metric_add(metric, 1, labels);
}

void link_count_octets(bool received, gsize octets)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_register(METRIC_COUNTER, "link", "bytes",
                                 "Octets of messages sent and received over links.", "direction");
    const char *const labels[] = {received ? "received" : "sent"};
    metric_add(metric, (double)octets, labels);
}

bool link_method_known(const struct link_protocol *protocol, const char *method)
{
    return !strcmp(method, "auth") ||
           (protocol->methods && g_strv_contains(protocol->methods, method));
}

static bool is_label(const char *text, gsize length)
{
    if (!length || length > 63 || text[0] == '-' || text[length - 1] == '-')
        return false;
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '-')
            return false;
    return true;
}

/* A6: the method part has no dot, the authority is a DNS name of at least two labels. */
bool link_method_is_application(const char *method)
{
    const char *dot = strchr(method, '.');
    if (!dot || dot == method || strlen(dot + 1) > 253)
        return false;
    guint labels = 0;
    for (const char *at = dot + 1;; labels++) {
        const char *end = strchrnul(at, '.');
        if (!is_label(at, (gsize)(end - at)))
            return false;
        if (!*end)
            break;
        at = end + 1;
    }
    return labels >= 1;
}

static const char *method_label(const struct link_protocol *protocol, const char *method)
{
    if (!method)
        return "other";
    if (!strcmp(method, "keepalive") || link_method_known(protocol, method))
        return method;
    return link_method_is_application(method) && protocol->application_methods ? "application"
                                                                               : "other";
}

void link_count_request(const struct link *link, bool request_of_peer, const char *method,
                        const GError *error)
{
    static struct metric *received, *sent;
    if (!received) {
        received = metric_register(METRIC_COUNTER, "link_requests", NULL,
                                   "Requests of peers that were answered, by method and result.",
                                   "method,result");
        sent =
            metric_register(METRIC_COUNTER, "link_calls", NULL,
                            "Requests of ours that ended, by method and result.", "method,result");
    }
    const char *const labels[] = {method_label(link->protocol, method),
                                  error ? problem_cause(problem_code(error)) : "success"};
    metric_add(request_of_peer ? received : sent, 1, labels);
}
