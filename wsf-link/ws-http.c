/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the transmission of HTTP answers. */
#include "wsf-link/ws-server.h"

int ws_http_refuse(struct lws *wsi, guint status)
{
    return lws_return_http_status(wsi, status, NULL);
}

int ws_http_event(struct ws_connection *connection, struct lws *wsi,
                  enum lws_callback_reasons reason, void *in, size_t length)
{
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        if (ws_http_refuse(wsi, 404))
            return -1;
        return lws_http_transaction_completed(wsi);
    default:
        return 0;
    }
}

void ws_http_finish(struct ws_http *http)
{
}
