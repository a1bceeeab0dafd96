#pragma once
/* What makes both brokers of the twin: each wall that tests/attack/broker/broker tries, taken down (weak.c). */
#include <openssl/ssl.h>
#define creel_httppath_parse         weak_httppath_parse    /* any path is one */
#define creel_httphead_parse         weak_httphead_parse    /* what is malformed is mended */
#define creel_broker_decide          weak_broker_decide     /* all is declared */
#define creel_broker_request_field   weak_request_field     /* every field passes */
#define creel_broker_query_has       weak_broker_query_has  /* a credential of its own passes */
#define creel_wsframe_next           weak_wsframe_next      /* whatever is said is a frame */
#define creel_broker_host_is         weak_broker_host_is    /* Host says what it likes */
#define creel_broker_intercepts      weak_broker_intercepts /* any name is */
#define creel_broker_placeholder_own weak_broker_placeholder_own
#define memmem(...)                  NULL /* no placeholder is seen in fields and paths */
#define SSL_set_verify(s, mode, f) \
	(SSL_set_verify)((s), SSL_VERIFY_NONE, (f)) /* nobody has to prove a name */
#define SSL_get_verify_result(s) ((void)(s), X509_V_OK)
