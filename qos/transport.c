/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of one peer connection. Here is only what all levels have in common; without a
 * level every function does nothing, and the relay judges. */
#include "qos/level.h"

#include "base/problem.h"

struct qos_transport *qos_transport_new(struct qos *qos, GError **error)
{
    struct qos_transport *transport = g_new0(struct qos_transport, 1);
    transport->qos = qos;
    transport->flows = g_ptr_array_new();
    if (!qos)
        return transport;
    transport->held =
        qos->ops && (!qos->ops->add_transport || qos->ops->add_transport(qos->level, transport));
    /* Where the required level has never worked policies are refused (qos_check); gates that stay
     * closed need none. */
    if (!transport->held && qos->ops && qos_is_required(qos)) {
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "the level \"%s\" has no room for another peer connection (%u): %s",
                    qos_level_name(qos), qos->transports, qos_level_reason(qos));
        g_ptr_array_unref(transport->flows);
        g_free(transport);
        return NULL;
    }
    qos->transports++;
    return transport;
}

void qos_transport_free(struct qos_transport *transport)
{
    if (!transport)
        return;
    struct qos *qos = transport->qos;
    if (transport->held && qos->ops->remove_transport)
        qos->ops->remove_transport(qos->level, transport);
    if (qos)
        qos->transports--;
    g_ptr_array_unref(transport->flows);
    g_free(transport);
}

void qos_transport_set_pair(struct qos_transport *transport, const struct sockaddr *local,
                            const struct sockaddr *remote)
{
    struct qos *qos = transport->qos;
    if (transport->held && qos->ops->set_pair)
        qos->ops->set_pair(qos->level, transport, local, remote);
}

void qos_transport_add_local(struct qos_transport *transport, const struct sockaddr *local)
{
    struct qos *qos = transport->qos;
    if (transport->held && qos->ops->add_local)
        qos->ops->add_local(qos->level, transport, local);
}

bool qos_transport_add_ssrc(struct qos_transport *transport, enum qos_direction direction,
                            uint32_t ssrc, const struct qos_slot *slot)
{
    struct qos *qos = transport->qos;
    return transport->held && qos->ops->add_ssrc &&
           qos->ops->add_ssrc(qos->level, transport, direction, ssrc, slot);
}

void qos_transport_remove_ssrc(struct qos_transport *transport, enum qos_direction direction,
                               uint32_t ssrc)
{
    struct qos *qos = transport->qos;
    if (transport->held && qos->ops->remove_ssrc)
        qos->ops->remove_ssrc(qos->level, transport, direction, ssrc);
}

const char *qos_transport_level(const struct qos_transport *transport)
{
    return transport->held ? transport->qos->ops->name : "relay";
}

bool qos_transport_marks(const struct qos_transport *transport)
{
    return __atomic_load_n(&transport->marks, __ATOMIC_RELAXED) != 0;
}

uint64_t qos_transport_unattributed(const struct qos_transport *transport)
{
    const struct qos *qos = transport->qos;
    return transport->held && qos->ops->unattributed ? qos->ops->unattributed(qos->level, transport)
                                                     : 0;
}
