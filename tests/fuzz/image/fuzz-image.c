/* What a build reads, by the first octet: apt sources of two styles, Debian's control files, what `go
 * version -m` prints, a registry on the proxy's command line. */
#include "base/cleanup.h"
#include "image/aptsources.h"
#include "image/control.h"
#include "image/goversion.h"
#include "image/proxy.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) out = {0};
	struct creel_proxy_host host;
	struct creel_control c;
	autofree char *text = len > 0 ? strndup((const char *)data + 1, len - 1) : NULL;

	if (!text)
		return 0;
	creel_buf_init(&out, 1 << 20);
	const char *at = text;
	switch (data[0] % 5) {
	case 0:
	case 1:
		if (creel_aptsources_pick(text, data[0] % 5 == 1, "bookworm", NULL, &out, &err) > 0 &&
		    !strstr(creel_buf_str(&out), "bookworm"))
			abort();
		break;
	case 2:
		while (creel_control_next(&at, &c) == 1)
			if (strchr(c.package, '\n') || strchr(c.version, '\n') || at > text + strlen(text))
				abort();
		break;
	case 3: {
		json_t *list = json_array();
		(void)creel_goversion_parse(text, list, &err);
		json_decref(list);
		break;
	}
	default:
		if (creel_proxy_host_parse(text, &host, &err) == 0) {
			char shown[1024];
			struct creel_proxy_host again;
			if (creel_proxy_host_print(&host, shown, sizeof(shown), &err) < 0 ||
			    creel_proxy_host_parse(shown, &again, &err) < 0 || again.port != host.port ||
			    again.n_addrs != host.n_addrs)
				abort();
		}
	}
	return 0;
}
