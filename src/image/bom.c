#include "image/bom.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* A purl's part; it keeps ':' (github.com/package-url/purl-spec, "Character encoding") */
static void encode(const char *s, const char *also, char *ret, size_t size)
{
	ret[creel_escape_uri(s, strlen(s), also, ret, size - 1)] = '\0';
}

static json_t *component(const char *name, const char *version, const char *purl, const char *alg,
			 const char *hash)
{
	json_t *c = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "library", "name", name, "version",
			      version, "purl", purl, "bom-ref", purl);

	if (c && alg && hash && *hash)
		(void)json_object_set_new(c, "hashes",
					  json_pack("[{s:s, s:s}]", "alg", alg, "content", hash));
	return c;
}

static void debian_add(json_t *list, const json_t *p, const json_t *more)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	const char *version = json_string_value(json_object_get(p, "version"));
	const char *arch = json_string_value(json_object_get(p, "arch"));
	const json_t *m;
	size_t i;
	char purl[512], v[256];

	encode(version, ":", v, sizeof(v));
	(void)snprintf(purl, sizeof(purl), "pkg:deb/debian/%s@%s?arch=%s", name, v, arch ? arch : "");
	json_t *c = component(name, version, purl, "SHA-256",
			      json_string_value(json_object_get(p, "sha256")));
	json_array_foreach ((json_t *)more, i, m) {
		if (strcmp(json_string_value(json_object_get(m, "name")), name) != 0)
			continue;
		(void)json_object_set_new(c, "properties",
					  json_pack("[{s:s, s:O}, {s:s, s:O}]", "name", "creel:debian:file",
						    "value", json_object_get(m, "file"), "name",
						    "creel:debian:source", "value",
						    json_object_get(m, "source")));
		break;
	}
	(void)json_array_append_new(list, c);
}

/* "sha512-BASE64" (Subresource Integrity) to CycloneDX's hexadecimal digits */
static const char *integrity_hex(const char *integrity, char *ret, size_t size)
{
	unsigned char raw[64];
	size_t n = 0;

	if (!integrity || strncmp(integrity, "sha512-", 7) != 0 ||
	    sodium_base642bin(raw, sizeof(raw), integrity + 7, strcspn(integrity + 7, " "), NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		return NULL;
	return sodium_bin2hex(ret, size, raw, n);
}

static void npm_add(json_t *list, const char *path, const json_t *p)
{
	const char *at = NULL, *version = json_string_value(json_object_get(p, "version"));
	char purl[512], name[300], hex[129];

	for (const char *s = path; (s = strstr(s, "node_modules/")); s += 13)
		at = s + 13;
	if (!at || !version)
		return;
	encode(at, ":/", name, sizeof(name));
	(void)snprintf(purl, sizeof(purl), "pkg:npm/%s@%s", name, version);
	json_t *c = component(
		at, version, purl, "SHA-512",
		integrity_hex(json_string_value(json_object_get(p, "integrity")), hex, sizeof(hex)));
	const json_t *licence = json_object_get(p, "license");
	if (json_is_string(licence))
		(void)json_object_set_new(c, "licenses",
					  json_pack("[{s:{s:O}}]", "license", "name", licence));
	/* one name and version may stand in several places */
	(void)json_object_set_new(c, "bom-ref", json_sprintf("%s#%s", purl, path));
	(void)json_array_append_new(list, c);
}

static void module_add(json_t *list, const char *program, const char *name, const char *version,
		       const char *sum)
{
	unsigned char raw[32];
	char purl[700], path[512], hex[65] = "";
	size_t n = 0;

	if (!name || !version)
		return;
	encode(name, ":/", path, sizeof(path));
	(void)snprintf(purl, sizeof(purl), "pkg:golang/%s@%s", path, version);
	/* a module's h1: sum is the SHA-256 of a list of its files, said as a property, not as a file's hash */
	json_t *c = component(name, version, purl, NULL, NULL);
	if (sum && strncmp(sum, "h1:", 3) == 0 &&
	    sodium_base642bin(raw, sizeof(raw), sum + 3, strlen(sum + 3), NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) == 0)
		(void)sodium_bin2hex(hex, sizeof(hex), raw, n);
	(void)json_object_set_new(c, "properties",
				  json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "creel:go:sum", "value",
					    sum && *hex ? sum : "", "name", "creel:go:program", "value",
					    program));
	(void)json_object_set_new(c, "bom-ref", json_sprintf("%s#%s", purl, program));
	(void)json_array_append_new(list, c);
}

static void go_add(json_t *list, const json_t *p)
{
	const char *program = json_string_value(json_object_get(p, "program"));
	const json_t *d;
	size_t i;

	module_add(list, program, json_string_value(json_object_get(p, "module")),
		   json_string_value(json_object_get(p, "version")),
		   json_string_value(json_object_get(p, "sum")));
	json_array_foreach ((json_t *)json_object_get(p, "deps"), i, d)
		module_add(list, program, json_string_value(json_array_get(d, 0)),
			   json_string_value(json_array_get(d, 1)), json_string_value(json_array_get(d, 2)));
}

static void url_add(json_t *list, const struct creel_url_cfg *u)
{
	json_t *c = json_pack("{s:s, s:s, s:s, s:[{s:s, s:s}], s:[{s:s, s:s}]}", "type", "file", "name",
			      u->name.s, "bom-ref", u->url.s, "hashes", "alg", "SHA-256", "content",
			      u->sha256.s, "externalReferences", "type", "distribution", "url", u->url.s);
	(void)json_array_append_new(list, c);
}

json_t *creel_bom_make(const struct build *b, const char *id)
{
	const json_t *more = json_object_get(b->bom, "debian"), *npm = json_object_get(b->bom, "npm"), *p;
	json_t *list = json_array();
	const char *path;
	size_t i;

	json_array_foreach (json_object_get(b->lock, "debian"), i, p)
		debian_add(list, p, more);
	debian_add(list, json_object_get(b->lock, "kernel"), more);
	json_object_foreach ((json_t *)npm, path, p)
		npm_add(list, path, p);
	json_array_foreach (json_object_get(json_object_get(b->lock, "go"), "programs"), i, p)
		go_add(list, p);
	for (i = 0; i < b->spec->recipe->url.n; i++)
		url_add(list, &b->spec->recipe->url.v[i]);
	/* RFC 4122's form, made of the image's id: the same image, the same number */
	json_t *serial = json_sprintf("urn:uuid:%.8s-%.4s-8%.3s-8%.3s-%.12s", id, id + 8, id + 12, id + 15,
				      id + 18);
	return json_pack("{s:s, s:s, s:o, s:i, s:{s:{s:s, s:s, s:s}, s:{s:[{s:s, s:s, s:s}]}}, s:o}",
			 "bomFormat", "CycloneDX", "specVersion", "1.5", "serialNumber", serial, "version", 1,
			 "metadata", "component", "type", "operating-system", "name", b->spec->name,
			 "version", id, "tools", "components", "type", "application", "name", "creel",
			 "version", CREEL_VERSION, "components", list);
}
